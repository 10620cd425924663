"""The four operations: from an arrival to the statement and the bytes that are sent.

Targets are found from the arrival's draw without asking the database: busy users by rank, open
orders from a bounded list that this process alone changes, users to delete one after the other
from the quiet end. So an update is legal by construction, and a lost answer can be looked up.
"""

from collections.abc import Callable, Mapping, Sequence
from hashlib import sha1
from uuid import NAMESPACE_URL, UUID, uuid5

from loadgen import wire
from loadgen.sql import statements
from loadgen.wire import LENGTHS, execution, framed
from loadgen.workload import synthetic
from loadgen.workload.events import CLOSING, event_maker
from loadgen.workload.plan import Plan
from loadgen.workload.pools import small_pools
from loadgen.workload.streams import Arrival, Draws, Make, unit
from loadgen.workload.writes import Order, Write, new

__all__ = ["OPEN_ORDERS_LIMIT", "STATEMENTS", "Operations", "Order", "Write"]

STATEMENTS = statements("loadgen.workload", "operations.sql")
OPEN_ORDERS_LIMIT = 10_000
_UPDATE_HEAD = wire.head(b"update_order_status", 3)
# The digit of a version 5 uuid that has the variant's two bits, by the digest's own.
_VARIANT = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}


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
        x = h.hexdigest()
        return f"{x[:12]}5{x[13:16]}{_VARIANT[x[16]]}{x[17:32]}".encode()

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
    """Makes the writes of one process; holds the open orders that this process may change.

    `ahead` has, by operation, what makes the writes that depend on k and draws alone.
    """

    def __init__(self, plan: Plan, open_orders: Sequence[Order] = ()) -> None:
        self._orders: list[Order | None] = [*open_orders]
        self._forgotten = 0  # so many of them, the oldest, don't count any more
        self.ahead: Mapping[str, Make] = {
            "insert_order": _order_maker(plan),
            "insert_event": _event_maker(plan),
            "soft_delete_user": _delete_maker(plan),
        }

    def write(self, arrival: Arrival) -> Write | None:
        """Return what `arrival` sends; None where no row is left that it could change."""
        if arrival.write is not None:
            return arrival.write
        if arrival.operation == "update_order_status":
            return self._update_order_status(arrival)
        return self.ahead[arrival.operation]([arrival.k], [arrival.draws])[0]

    def committed(self, write: Write) -> None:
        """Take note that `write` is in the database: its order may be changed again."""
        self._keep(write.leaves)

    def refused(self, write: Write) -> None:
        """Take note that the server refused `write`: its order stands as before."""
        self._keep(write.finds)

    def _keep(self, order: Order | None) -> None:
        if order is None or order.status not in synthetic.OPEN_STATUSES:
            return
        orders = self._orders
        orders.append(order)
        if len(orders) - self._forgotten > OPEN_ORDERS_LIMIT:
            # Moving all the others each time would cost more than the write's sending.
            orders[self._forgotten] = None
            self._forgotten += 1
            if self._forgotten == OPEN_ORDERS_LIMIT:
                del orders[: self._forgotten]
                self._forgotten = 0

    def _update_order_status(self, arrival: Arrival) -> Write | None:
        orders = self._orders
        known = len(orders) - self._forgotten
        if not known:
            return None
        # Recent orders are more likely: half of the draws fall into the newest eighth.
        age = int(known * unit(arrival.draws[1]) ** 3)
        order = orders.pop(-1 - age)
        if order is None:
            raise AssertionError("an order that was forgotten was taken")
        number, before, version = order
        status = synthetic.next_status(before, unit(arrival.draws[2]))
        if status is None:
            raise AssertionError(f"an order in final status {before!r} was taken for open")
        leaves = new(Order, (number, status, version + 1))
        following, expected = status.encode(), b"%d" % version
        pieces = (
            _UPDATE_HEAD,
            LENGTHS[len(number)],
            number,
            LENGTHS[len(following)],
            following,
            LENGTHS[len(expected)],
            expected,
        )
        write = ("update_order_status", arrival.k, framed(pieces), number, order, leaves)
        return new(Write, write)


def _busy_user(plan: Plan) -> Callable[[int], bytes]:
    """Return a function from a draw to the id of a user that no arrival deletes."""
    users, factor = plan.users, synthetic.user_id(1, plan.users) - 1
    active = synthetic.lasting_users(plan.users)
    if plan.hot_users is not None:
        active = min(active, plan.hot_users)

    def user(draw: int) -> bytes:
        # `busy_rank` and `user_id`, written out: three calls less for each write.
        u = (draw >> 11) * 2.0**-53
        return b"%d" % (1 + int(active * (u * u * u)) * factor % users)

    return user


def _order_maker(plan: Plan) -> Make:
    key, user = key_maker(plan.run_id, "insert_order"), _busy_user(plan)
    pools, values, head = small_pools(), synthetic.order, wire.head(b"insert_order", 5)

    def make(ks: Sequence[int], draws: Sequence[Draws]) -> list[Write]:
        writes = []
        for k, drawn in zip(ks, draws, strict=True):
            number, who = key(k), user(drawn[1])
            quantity, amount, currency = values(drawn, pools)
            pieces = (
                head,
                LENGTHS[len(number)],
                number,
                LENGTHS[len(who)],
                who,
                LENGTHS[len(quantity)],
                quantity,
                LENGTHS[len(amount)],
                amount,
                LENGTHS[len(currency)],
                currency,
            )
            leaves = new(Order, (number, "pending", 0))
            writes.append(new(Write, ("insert_order", k, framed(pieces), number, None, leaves)))
        return writes

    return make


def _event_maker(plan: Plan) -> Make:
    key, user = key_maker(plan.run_id, "insert_event"), _busy_user(plan)
    values, head = event_maker(plan.event_bytes), wire.head(b"insert_event", 4)

    def make(ks: Sequence[int], draws: Sequence[Draws]) -> list[Write]:
        writes = []
        for k, (_, target, a, b) in zip(ks, draws, strict=True):
            id_, who = key(k), user(target)
            event_type, size, session, facts, words = values(a, b)
            pieces = (
                head,
                LENGTHS[len(id_)],
                id_,
                LENGTHS[len(who)],
                who,
                LENGTHS[len(event_type)],
                event_type,
                LENGTHS[size],
                session,
                facts,
                words,
                CLOSING,
            )
            writes.append(new(Write, ("insert_event", k, framed(pieces), id_, None, None)))
        return writes

    return make


def _delete_maker(plan: Plan) -> Make:
    def write(k: int) -> Write | None:
        target = user_to_delete(k, plan.users, plan.lowest_deleted_rank)
        if target is None:
            return None
        user = b"%d" % target
        return Write("soft_delete_user", k, execution(b"soft_delete_user", (user,)), user)

    def make(ks: Sequence[int], _: Sequence[Draws]) -> list[Write | None]:
        return [write(k) for k in ks]

    return make
