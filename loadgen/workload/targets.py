"""What updates and deletes aim at: open orders, and users from the quiet end. Pure."""

from collections.abc import Sequence
from typing import NamedTuple

from loadgen.workload.data import synthetic

OPEN_ORDERS_LIMIT = 10_000


class Order(NamedTuple):
    """An order that may still change, as this process knows it."""

    number: bytes
    status: str
    version: int


class Step(NamedTuple):
    """A status update whose order is not chosen yet; both are uniform in [0, 1)."""

    age: float  # which of the open orders: 0 is the newest, 1 the oldest
    turn: float  # what becomes of it


def lowest_deleted_rank(users: int, deleted_ids: Sequence[int]) -> int:
    """Return from which rank on users are deleted; `users` where none is."""
    return min((synthetic.user_rank(user, users) for user in deleted_ids), default=users)


def user_to_delete(k: int, users: int, lowest_deleted: int) -> int | None:
    """Return the id of the user that soft delete k aims at; None once a fifth is gone."""
    rank = lowest_deleted - 1 - k
    if rank < synthetic.lasting_users(users):
        return None
    return synthetic.user_id(rank, users)
