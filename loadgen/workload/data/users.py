"""The shop's users: who is active, who owns a baseline row, and who is soft deleted when.

Users are ranked by activity. Rank 0 is the busiest, and the highest ranks are deleted: 2% by the
baseline, up to a fifth by the load. A rank comes from uniform u as int(n * u**3), so the busiest 1%
have 21% of the activity and the busiest 20% have 58%. Ids are ranks in another order, so that busy
users are spread over the table. All else is arithmetic in integers, so that the same draws give the
same users on every machine.
"""

from collections.abc import Sequence
from functools import lru_cache
from math import gcd
from typing import Final

from loadgen.workload.data.history import History

_ONE_DELETED_IN: Final = 50  # users of the baseline
_UNIT: Final = 2.0**-53


@lru_cache(maxsize=64)
def _affine(n: int) -> tuple[int, int]:
    """Return (a, inverse of a) of the bijection rank -> rank * a mod n."""
    # The golden section spreads neighbouring ranks far apart; in 16-bit integers.
    a = max(1, n * 40503 >> 16)
    while gcd(a, n) != 1:
        a += 1
    return a, pow(a, -1, n)


def user_id(rank: int, n: int) -> int:
    """Return the id (1..n) of the user of `rank` among `n` baseline users.

    Rank 0, the busiest, is user 1, the oldest, so that every row has an owner.
    """
    return 1 + rank * _affine(n)[0] % n


def user_rank(id_: int, n: int) -> int:
    """Return the rank of the user with `id_`: the inverse of `user_id`."""
    return (id_ - 1) * _affine(n)[1] % n


def first_deleted_rank(n: int) -> int:
    """Return the lowest rank that the baseline soft deletes; n if it deletes none."""
    return n - n // _ONE_DELETED_IN


def lasting_users(n: int) -> int:
    """Return how many of the lowest ranks are never soft deleted, by baseline or load."""
    return max(1, n * 4 // 5)


def lowest_deleted_rank(users: int, deleted_ids: Sequence[int]) -> int:
    """Return the lowest rank of the deleted users; `users` if there are none."""
    return min((user_rank(user, users) for user in deleted_ids), default=users)


def user_to_delete(k: int, users: int, lowest_deleted: int) -> int | None:
    """Return the id of the user that soft delete k aims at; None once a fifth is deleted."""
    rank = lowest_deleted - 1 - k
    if rank < lasting_users(users):
        return None
    return user_id(rank, users)


class UserAssignment:
    """Assigns the rows of one baseline to its users.

    Users lie in the history at equal steps, so how many exist at a position is a division and no
    memory of them is needed. Users are soft deleted in the last part of the history only, and rows
    there belong to lasting users only, so no row follows its user's deletion. Draws are 64-bit
    integers.
    """

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
        self._active = lasting_users(users)
        self._factor = user_id(1, users) - 1
        self._total = history.total
        self._step = history.total // users
        # The first sixteenth of the history has users only, so that each row has one to own it.
        self._opening = history.total // 16
        self._late = history.total // 4 * 3
        self._late_us = history.time(self._late)
        self.end_us = history.end_us

    def span(self, table: str, rows: int) -> tuple[int, int]:
        """Return the position at which the rows of `table` begin, and the step between them."""
        begin = 0 if table == "users" else self._opening
        return begin, (self._total - begin) // rows

    def owner(self, draw: int, position: int) -> int:
        """Return the id of a user that exists at `position`, busy ones more often."""
        existing = position // self._step or 1
        u = (draw >> 11) * _UNIT
        late = position >= self._late
        active = self._active if late else self._users
        # `user_id`, written out: one call less for each row.
        id_ = 1 + int(active * (u * u * u)) * self._factor % self._users
        if id_ > existing:
            # This user does not exist yet: one that does takes the row.
            id_ = 1 + (id_ - 1) % existing
            if late:
                return self._lasting(id_, existing)
        return id_

    def _lasting(self, id_: int, existing: int) -> int:
        """Return `id_`, or the nearest busier user that exists and is never soft deleted."""
        rank = user_rank(id_, self._users)
        while rank >= self._active or id_ > existing:
            rank //= 2
            id_ = user_id(rank, self._users)
        return id_

    def deleted_at(self, id_: int, created_at: int, draw: int) -> int | None:
        """Return when the user is soft deleted, after all of its rows; None if never."""
        users = self._users
        if user_rank(id_, users) < first_deleted_rank(users):
            return None
        since = max(self._late_us, created_at) + 1
        return since + ((self.end_us - since) * draw >> 64)
