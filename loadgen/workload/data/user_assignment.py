"""Which user a baseline row belongs to, and who is soft deleted when.

Arithmetic on a row's place in the history instead of memory of users: users lie in the history at
equal steps, so how many exist at a place is a division. Users are soft deleted in the last part of
the history only, and rows there belong to lasting users only, so no row follows its user's
deletion. Draws are 64-bit integers.
"""

from typing import Final

from loadgen.workload.data import synthetic
from loadgen.workload.data.growth import History

_UNIT: Final = 2.0**-53


class UserAssignment:
    """The users of one baseline as far as other rows need to know them."""

    __slots__ = (
        "_active",
        "_factor",
        "_late",
        "_late_us",
        "_opening",
        "_step",
        "_total",
        "_users",
        "end_us",
    )

    def __init__(self, users: int, history: History) -> None:
        self._users = users
        self._active = synthetic.lasting_users(users)
        self._factor = synthetic.user_id(1, users) - 1
        self._total = history.total
        self._step = history.total // users
        # The first sixteenth of the history has users only, so that rows find somebody to own them.
        self._opening = history.total // 16
        self._late = history.total // 4 * 3
        self._late_us = history.time(self._late)
        self.end_us = history.end_us

    def span(self, table: str, rows: int) -> tuple[int, int]:
        """Return where the rows of `table` begin in the history, and the step between them."""
        begins = 0 if table == "users" else self._opening
        return begins, (self._total - begins) // rows

    def owner(self, draw: int, place: int) -> int:
        """Return the id of a user that exists at `place`; busy ones are much more likely."""
        existing = place // self._step or 1
        u = (draw >> 11) * _UNIT
        late = place >= self._late
        # `busy_rank` and `user_id`, written out: two calls less for each row.
        active = self._active if late else self._users
        id_ = 1 + int(active * (u * u * u)) * self._factor % self._users
        if id_ > existing:
            # Not born yet: one of those who are takes the place.
            id_ = 1 + (id_ - 1) % existing
            if late:
                return self._lasting(id_, existing)
        return id_

    def _lasting(self, id_: int, existing: int) -> int:
        """Return `id_`, or the nearest busier user that exists and is never soft deleted."""
        rank = synthetic.user_rank(id_, self._users)
        while rank >= self._active or id_ > existing:
            rank //= 2
            id_ = synthetic.user_id(rank, self._users)
        return id_

    def deleted_at(self, id_: int, created_at: int, draw: int) -> int | None:
        """Return when the user is soft deleted, after everything that is theirs; None if never."""
        users = self._users
        if synthetic.user_rank(id_, users) < synthetic.first_deleted_rank(users):
            return None
        since = max(self._late_us, created_at) + 1
        return since + ((self.end_us - since) * draw >> 64)
