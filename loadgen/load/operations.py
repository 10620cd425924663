"""The four operations: from an arrival to the statement and the bytes that are sent.

Targets are found from the arrival's draw without asking the database: busy users by rank, open
orders from a bounded list that this process alone changes, users to delete one after the other
from the quiet end. So an update is legal by construction, and a lost answer can be looked up.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache, lru_cache

import numpy as np

from loadgen.load.driver.batches import (
    KEY_WIDTH,
    Whole,
    cut,
    decimals,
    digits_for,
    hexed,
    key_pages,
    page_of,
    table,
)
from loadgen.load.driver.wire import END, HEAD, LENGTHS, bind_length, execution, places
from loadgen.load.driver.writes import Write
from loadgen.workload.data.events import CLOSING, OPENING, TEMPLATE_MASK, event_templates
from loadgen.workload.data.orders import (
    OPEN_ORDERS_LIMIT,
    OPEN_STATUSES,
    QUANTITIES,
    Order,
    StatusStep,
    next_status,
)
from loadgen.workload.data.pools import small_pools
from loadgen.workload.data.users import lasting_users, user_id, user_to_delete
from loadgen.workload.schedule.arrival_process import Arrival, DrawArray, RequestMaker, uniform
from loadgen.workload.schedule.plan import Plan


class Operations:
    """Makes the writes of one process; holds the open orders that this process may change.

    `ahead` has, by operation, what is made of k and draws alone: a request, or a step of an order.
    """

    def __init__(self, plan: Plan, open_orders: Sequence[Order] = ()) -> None:
        self._orders: list[Order | None] = [*open_orders]
        self._forgotten = 0  # so many of them, the oldest, don't count any more
        self._number = places(_blank_order(plan))[0]  # in a request
        self.ahead: Mapping[str, RequestMaker] = {
            "insert_order": _order_maker(plan),
            "insert_event": _event_maker(plan),
            "update_order_status": _steps,
            "soft_delete_user": _delete_maker(plan),
        }

    def write(self, arrival: Arrival) -> Write | None:
        """Return what `arrival` sends; None where no row is left that it could change.

        Its schedule's makers are `ahead`. An update's order is taken with it: ask once.
        """
        _, operation, k, made = arrival
        if isinstance(made, StatusStep):
            return self._update_order_status(k, made)
        if made is None or not isinstance(made, bytes):
            return None
        leaves = self._new_order(arrival) if operation == "insert_order" else None
        return Write(operation, k, made, leaves=leaves)

    def inserted(self, arrival: Arrival) -> None:
        """Take note that an arrival's new order is in the database: it may be changed from now."""
        self._append(self._new_order(arrival))

    def committed(self, write: Write) -> None:
        """Take note that `write` is in the database: its order may be changed again."""
        self._keep(write.leaves)

    def refused(self, write: Write) -> None:
        """Take note that the server refused `write`: its order stands as before."""
        self._keep(write.finds)

    def _keep(self, order: Order | None) -> None:
        if order is not None and order.status in OPEN_STATUSES:
            self._append(order)

    def _append(self, order: Order) -> None:
        orders = self._orders
        orders.append(order)
        if len(orders) - self._forgotten > OPEN_ORDERS_LIMIT:
            # Moving all the others each time would cost more than the write's sending.
            orders[self._forgotten] = None
            self._forgotten += 1
            if self._forgotten == OPEN_ORDERS_LIMIT:
                del orders[: self._forgotten]
                self._forgotten = 0

    def _new_order(self, arrival: Arrival) -> Order:
        request = arrival[3]
        if not isinstance(request, bytes):
            raise TypeError(f"arrival {arrival[2]} of {arrival[1]} is no new order")
        return Order(request[self._number], "pending", 0)

    def _update_order_status(self, k: int, step: StatusStep) -> Write | None:
        orders = self._orders
        known = len(orders) - self._forgotten
        if not known:
            return None
        order = orders.pop(-1 - int(known * step.age))
        if order is None:
            raise AssertionError("an order that was forgotten was taken")
        number, before, version = order
        status = next_status(before, step.turn)
        if status is None:
            raise AssertionError(f"an order in final status {before!r} was taken for open")
        front, back = _around(len(number), status, version)
        leaves = Order(number, status, version + 1)
        return Write("update_order_status", k, front + number + back, order, leaves)


@lru_cache(maxsize=1024)
def _around(number: int, status: str, version: int) -> tuple[bytes, bytes]:
    """Return what is before and behind an order's number, so many bytes, in an update of it."""
    request = execution(b"update_order_status", (b"0" * number, status.encode(), b"%d" % version))
    at = places(request)[0]
    return request[: at.start], request[at.stop :]


def _steps(_: Sequence[int], drawn: DrawArray) -> list[StatusStep]:
    """Make what is known ahead of status updates."""
    # Recent orders are more likely: half of the draws fall into the newest eighth.
    u = uniform(drawn[1])
    return [*map(StatusStep, (u * u * u).tolist(), uniform(drawn[2]).tolist())]


def _busy_users(plan: Plan) -> Callable[[DrawArray], Whole]:
    """Return a function from draws to ids of users that no arrival deletes."""
    users, factor = plan.users, user_id(1, plan.users) - 1
    active = lasting_users(plan.users)
    if plan.hot_users is not None:
        active = min(active, plan.hot_users)

    def ids(draws: DrawArray) -> Whole:
        # `user_id` of many ranks; see `workload.data.users`.
        u = uniform(draws)
        ranks = (active * (u * u * u)).astype(np.int64)
        return 1 + ranks * factor % users

    return ids


@cache
def _amounts() -> tuple[bytes, ...]:
    """Return all amounts in one width: zeros before a number don't change it."""
    amounts = small_pools().amounts
    width = max(map(len, amounts))
    return tuple(amount.zfill(width) for amount in amounts)


def _blank_order(plan: Plan) -> bytes:
    """Return the request of a new order; those of one run differ in what is in its places."""
    user = b"0" * digits_for(plan.users)
    blank = (b"0" * KEY_WIDTH, user, b"1", _amounts()[0], small_pools().currencies[0])
    return execution(b"insert_order", blank)


def _order_maker(plan: Plan) -> RequestMaker:
    keys, users = key_pages(plan.run_id, "insert_order"), _busy_users(plan)
    pools, blank = small_pools(), _blank_order(plan)
    number, user, quantity, amount, currency = places(blank)
    quantities = np.array(QUANTITIES, np.uint64)
    amounts, currencies = table(_amounts()), table(pools.currencies)
    width = user.stop - user.start

    def make(ks: Sequence[int], drawn: DrawArray) -> list[bytes]:
        page = page_of(blank, len(ks))
        page[:, number] = keys(ks)
        page[:, user] = decimals(users(drawn[1]), width)
        # `order_values` of many draws.
        a = drawn[3]
        count = quantities[a & 63]
        bought = count << 8 | a >> 5 & 254 | (a >> 13 & 7 == 0)
        page[:, quantity.start] = count + ord("0")
        page[:, amount] = amounts[bought]
        page[:, currency] = currencies[a >> 16 & 255]
        return cut(page)

    return make


def _event_maker(plan: Plan) -> RequestMaker:
    keys, users = key_pages(plan.run_id, "insert_event"), _busy_users(plan)
    width, ready = digits_for(plan.users), event_templates(plan.event_bytes)
    request = execution(b"insert_event", (b"0" * KEY_WIDTH, b"0" * width, b"", b""))
    id_, user, *_ = places(request)
    front = request[: user.stop]
    # What follows the user, up to the session; and of each event how long its message is.
    openings = [
        b"%b%b%b%b" % (LENGTHS[len(kind)], kind, LENGTHS[size], OPENING)
        for kind, size in zip(ready.types, ready.sizes, strict=True)
    ]
    body, closing = len(front) - HEAD - len(OPENING), CLOSING + END
    lengths = table(
        bind_length(body + len(opening) + size)
        for opening, size in zip(openings, ready.sizes, strict=True)
    )
    facts, filler = ready.facts, ready.padding
    words, starts = np.array(ready.padding_sizes), np.array(ready.padding_starts)

    def make(ks: Sequence[int], drawn: DrawArray) -> list[bytes]:
        page = page_of(front, len(ks))
        page[:, id_] = keys(ks)
        page[:, user] = decimals(users(drawn[1]), width)
        which = drawn[2] & TEMPLATE_MASK
        page[:, 1:HEAD] = lengths[which]
        begin = starts[drawn[2] >> 56]
        end = begin + words[which]
        sessions = cut(hexed(drawn[3]))
        pieces = zip(cut(page), which.tolist(), sessions, begin.tolist(), end.tolist(), strict=True)
        return [
            b"".join(
                (
                    before,
                    openings[i],
                    session,
                    facts[i],
                    filler[begin:end],
                    closing,
                )
            )
            for before, i, session, begin, end in pieces
        ]

    return make


def _delete_maker(plan: Plan) -> RequestMaker:
    def request(k: int) -> bytes | None:
        user = user_to_delete(k, plan.users, plan.lowest_deleted_rank)
        return None if user is None else execution(b"soft_delete_user", (b"%d" % user,))

    def make(ks: Sequence[int], _: DrawArray) -> list[bytes | None]:
        return [request(k) for k in ks]

    return make
