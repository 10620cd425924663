"""The four operations: from an arrival to the statement and the bytes that are sent.

Targets are found from the arrival's draw without asking the database: busy users by rank, open
orders from a bounded list that this process alone changes, users to delete one after the other
from the quiet end. So an update is legal by construction, and a lost answer can be looked up.
"""

from collections.abc import Callable, Sequence
from hashlib import sha1
from typing import NamedTuple
from uuid import NAMESPACE_URL, UUID, uuid5

from loadgen.sql import statements
from loadgen.workload import synthetic
from loadgen.workload.mix import OPERATIONS
from loadgen.workload.plan import Plan
from loadgen.workload.pools import small_pools
from loadgen.workload.streams import Arrival, unit

STATEMENTS = statements("loadgen.workload", "operations.sql")
OPEN_ORDERS_LIMIT = 10_000


class Order(NamedTuple):
    """An order that may still change, as this process knows it."""

    number: bytes
    status: str
    version: int


class Write(NamedTuple):
    """One statement to send; `key` and `version` say how to look it up if its answer is lost."""

    operation: str
    k: int
    parameters: Sequence[bytes]
    key: bytes
    finds: Order | None = None  # the order as it stands before
    leaves: Order | None = None  # and once this is committed

    @property
    def version(self) -> int:
        """The version that an update expects; 0 for other writes."""
        return self.finds.version if self.finds else 0


def run_namespace(run_id: str) -> UUID:
    """Return the namespace of a run's client-made keys."""
    return uuid5(NAMESPACE_URL, f"simplyload-playground/{run_id}")


def key_maker(run_id: str, operation: str) -> Callable[[int], bytes]:
    """Return a function from k to uuid5(run's namespace, 'operation:k') as text bytes.

    The same as uuid.uuid5, at a third of its cost: the common prefix is hashed once.
    """
    base = sha1(run_namespace(run_id).bytes + f"{operation}:".encode(), usedforsecurity=False)

    def key(k: int) -> bytes:
        h = base.copy()
        h.update(b"%d" % k)
        digest = bytearray(h.digest()[:16])
        digest[6] = digest[6] & 0x0F | 0x50
        digest[8] = digest[8] & 0x3F | 0x80
        return digest.hex().encode()

    return key


def lowest_deleted_rank(users: int, deleted_ids: Sequence[int]) -> int:
    """Return from which rank on users are deleted; `users` where none is."""
    return min((synthetic.user_rank(user, users) for user in deleted_ids), default=users)


def user_to_delete(k: int, users: int, lowest_deleted: int) -> int | None:
    """Return the id of the user that soft delete k aims at; None once a fifth is gone."""
    rank = lowest_deleted - 1 - k
    if rank < synthetic.lasting_users(users):
        return None
    return synthetic.user_id(rank, users)


class Operations:
    """Makes the writes of one process; holds the open orders that this process may change."""

    def __init__(self, plan: Plan, open_orders: Sequence[Order] = ()) -> None:
        self._users = plan.users
        self._lowest_deleted = plan.lowest_deleted_rank
        self._orders = list(open_orders)
        self._active = synthetic.lasting_users(plan.users)
        if plan.hot_users is not None:
            self._active = min(self._active, plan.hot_users)
        self._pools = small_pools()
        self._event_bytes = plan.event_bytes
        self._keys = {name: key_maker(plan.run_id, name) for name in OPERATIONS}
        self._makers: dict[str, Callable[[Arrival], Write | None]] = {
            "insert_order": self._insert_order,
            "insert_event": self._insert_event,
            "update_order_status": self._update_order_status,
            "soft_delete_user": self._soft_delete_user,
        }

    def write(self, arrival: Arrival) -> Write | None:
        """Return what `arrival` sends; None where no row is left that it could change."""
        return self._makers[arrival.operation](arrival)

    def committed(self, write: Write) -> None:
        """Take note that `write` is in the database: its order may be changed again."""
        self._keep(write.leaves)

    def refused(self, write: Write) -> None:
        """Take note that the server refused `write`: its order stands as before."""
        self._keep(write.finds)

    def _keep(self, order: Order | None) -> None:
        if order is None or order.status not in synthetic.OPEN_STATUSES:
            return
        if len(self._orders) >= OPEN_ORDERS_LIMIT:
            self._orders.pop(0)
        self._orders.append(order)

    def _busy_user(self, arrival: Arrival) -> bytes:
        rank = synthetic.busy_rank(unit(arrival.draws[1]), self._active)
        return b"%d" % synthetic.user_id(rank, self._users)

    def _insert_order(self, arrival: Arrival) -> Write:
        key = self._keys["insert_order"](arrival.k)
        quantity, amount, currency = synthetic.order(arrival.draws[2:], self._pools)
        user = self._busy_user(arrival)
        parameters = (key, user, quantity, amount, currency)
        return Write("insert_order", arrival.k, parameters, key, leaves=Order(key, "pending", 0))

    def _insert_event(self, arrival: Arrival) -> Write:
        key = self._keys["insert_event"](arrival.k)
        kind, properties = synthetic.event(arrival.draws[2:], self._pools, self._event_bytes)
        return Write(
            "insert_event", arrival.k, (key, self._busy_user(arrival), kind, properties), key
        )

    def _update_order_status(self, arrival: Arrival) -> Write | None:
        orders = self._orders
        if not orders:
            return None
        # Recent orders are more likely: half of the draws fall into the newest eighth.
        age = int(len(orders) * unit(arrival.draws[1]) ** 3)
        order = orders.pop(len(orders) - 1 - age)
        status = synthetic.next_status(order.status, unit(arrival.draws[2]))
        if status is None:
            raise AssertionError(f"an order in final status {order.status!r} was taken for open")
        leaves = Order(order.number, status, order.version + 1)
        parameters = (order.number, status.encode(), b"%d" % order.version)
        return Write("update_order_status", arrival.k, parameters, order.number, order, leaves)

    def _soft_delete_user(self, arrival: Arrival) -> Write | None:
        target = user_to_delete(arrival.k, self._users, self._lowest_deleted)
        if target is None:
            return None
        user = b"%d" % target
        return Write("soft_delete_user", arrival.k, (user,), user)
