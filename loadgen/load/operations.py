"""The four operations: from an arrival to the bytes of the request that is sent.

An arrival's draws pick its target without a query: busy users by rank, open orders from a bounded
list that this process alone changes, users to delete one after the other from the quiet end. So an
update is legal by construction, and a write whose answer was lost can be looked up.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache, lru_cache
from typing import NamedTuple

import numpy as np

from loadgen.load.driver.batches import (
    KEY_WIDTH,
    Integers,
    batch_of,
    decimal_digits,
    hex_digits,
    key_batches,
    lookup_table,
    requests_of,
    width_for,
)
from loadgen.load.driver.wire import (
    END,
    HEAD,
    LENGTHS,
    bind_length,
    execution,
    parameter_slices,
)
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


class Write(NamedTuple):
    """One statement to send; `key` and `version` find it in the database if its answer is lost."""

    operation: str
    k: int
    request: bytes  # see `wire`
    before: Order | None = None  # the order that an update expects
    after: Order | None = None  # the order once this is committed

    @property
    def key(self) -> bytes:
        """The row's key: the first parameter of each statement."""
        return self.request[parameter_slices(self.request)[0]]

    @property
    def version(self) -> int:
        """The version that an update expects; 0 for other writes."""
        return self.before.version if self.before else 0


class Operations:
    """Makes the writes of one process; holds the open orders that this process may change.

    `ahead` makes, by operation, all that depends on k and draws alone: a request, or the step that
    an order takes.
    """

    def __init__(self, plan: Plan, open_orders: Sequence[Order] = ()) -> None:
        self._orders: list[Order | None] = [*open_orders]
        self._forgotten = 0  # how many of them, the oldest, don't count any more
        self._order_number = parameter_slices(_blank_order(plan))[0]  # in a request
        self.ahead: Mapping[str, RequestMaker] = {
            "insert_order": _order_maker(plan),
            "insert_event": _event_maker(plan),
            "update_order_status": _steps,
            "soft_delete_user": _delete_maker(plan),
        }

    def write(self, arrival: Arrival) -> Write | None:
        """Return the write of `arrival`; None if there is no row left that it could change.

        Its schedule's makers are `ahead`. An update takes its order off the list: call it once.
        """
        _, operation, k, made = arrival
        if isinstance(made, StatusStep):
            return self._update_order_status(k, made)
        if made is None or not isinstance(made, bytes):
            return None
        after = self._new_order(arrival) if operation == "insert_order" else None
        return Write(operation, k, made, after=after)

    def inserted(self, arrival: Arrival) -> None:
        """Note that an arrival's new order is in the database: it may be changed from now on."""
        self._append(self._new_order(arrival))

    def committed(self, write: Write) -> None:
        """Note that `write` is in the database: its order may be changed again."""
        self._append_if_open(write.after)

    def refused(self, write: Write) -> None:
        """Note that the server refused `write`: its order stays as it was."""
        self._append_if_open(write.before)

    def _append_if_open(self, order: Order | None) -> None:
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
        return Order(request[self._order_number], "pending", 0)

    def _update_order_status(self, k: int, step: StatusStep) -> Write | None:
        orders = self._orders
        known = len(orders) - self._forgotten
        if not known:
            return None
        order = orders.pop(-1 - int(known * step.age))
        if order is None:
            raise AssertionError("an order that was forgotten was taken")
        number, status_before, version = order
        status = next_status(status_before, step.turn)
        if status is None:
            raise AssertionError(f"an order in final status {status_before!r} was taken for open")
        front, back = _around_number(len(number), status, version)
        after = Order(number, status, version + 1)
        return Write("update_order_status", k, front + number + back, order, after)


@lru_cache(maxsize=1024)
def _around_number(width: int, status: str, version: int) -> tuple[bytes, bytes]:
    """Return the bytes before and behind the order number, `width` bytes, in an update."""
    request = execution(b"update_order_status", (b"0" * width, status.encode(), b"%d" % version))
    number = parameter_slices(request)[0]
    return request[: number.start], request[number.stop :]


def _steps(_: Sequence[int], drawn: DrawArray) -> list[StatusStep]:
    """Make the part of status updates that does not depend on the open orders."""
    # Recent orders are more likely: half of the draws fall into the newest eighth.
    u = uniform(drawn[1])
    return [*map(StatusStep, (u * u * u).tolist(), uniform(drawn[2]).tolist())]


def _busy_users(plan: Plan) -> Callable[[DrawArray], Integers]:
    """Return a function from draws to ids of users that no arrival deletes."""
    users, factor = plan.users, user_id(1, plan.users) - 1
    active = lasting_users(plan.users)
    if plan.hot_users is not None:
        active = min(active, plan.hot_users)

    def ids(draws: DrawArray) -> Integers:
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
    """Return a new order's request; those of one run differ in their parameters only."""
    user = b"0" * width_for(plan.users)
    parameters = (b"0" * KEY_WIDTH, user, b"1", _amounts()[0], small_pools().currencies[0])
    return execution(b"insert_order", parameters)


def _order_maker(plan: Plan) -> RequestMaker:
    keys, users = key_batches(plan.run_id, "insert_order"), _busy_users(plan)
    pools, blank = small_pools(), _blank_order(plan)
    number, user, quantity, amount, currency = parameter_slices(blank)
    quantities = np.array(QUANTITIES, np.uint64)
    amounts, currencies = lookup_table(_amounts()), lookup_table(pools.currencies)
    width = user.stop - user.start

    def make(ks: Sequence[int], drawn: DrawArray) -> list[bytes]:
        batch = batch_of(blank, len(ks))
        batch[:, number] = keys(ks)
        batch[:, user] = decimal_digits(users(drawn[1]), width)
        # `order_values` of many draws.
        a = drawn[3]
        count = quantities[a & 63]
        bought = count << 8 | a >> 5 & 254 | (a >> 13 & 7 == 0)
        batch[:, quantity.start] = count + ord("0")
        batch[:, amount] = amounts[bought]
        batch[:, currency] = currencies[a >> 16 & 255]
        return requests_of(batch)

    return make


def _event_maker(plan: Plan) -> RequestMaker:
    keys, users = key_batches(plan.run_id, "insert_event"), _busy_users(plan)
    width, templates = width_for(plan.users), event_templates(plan.event_bytes)
    request = execution(b"insert_event", (b"0" * KEY_WIDTH, b"0" * width, b"", b""))
    id_, user, *_ = parameter_slices(request)
    front = request[: user.stop]
    # From behind the user up to the session; and how long each event's whole message is.
    openings = [
        b"%b%b%b%b" % (LENGTHS[len(kind)], kind, LENGTHS[size], OPENING)
        for kind, size in zip(templates.types, templates.sizes, strict=True)
    ]
    body, closing = len(front) - HEAD - len(OPENING), CLOSING + END
    lengths = lookup_table(
        bind_length(body + len(opening) + size)
        for opening, size in zip(openings, templates.sizes, strict=True)
    )
    facts, padding = templates.facts, templates.padding
    padding_sizes, starts = np.array(templates.padding_sizes), np.array(templates.padding_starts)

    def make(ks: Sequence[int], drawn: DrawArray) -> list[bytes]:
        batch = batch_of(front, len(ks))
        batch[:, id_] = keys(ks)
        batch[:, user] = decimal_digits(users(drawn[1]), width)
        event = drawn[2] & TEMPLATE_MASK
        batch[:, 1:HEAD] = lengths[event]
        begin = starts[drawn[2] >> 56]
        end = begin + padding_sizes[event]
        pieces = zip(
            requests_of(batch),
            event.tolist(),
            requests_of(hex_digits(drawn[3])),
            begin.tolist(),
            end.tolist(),
            strict=True,
        )
        return [
            b"".join((start, openings[i], session, facts[i], padding[begin:end], closing))
            for start, i, session, begin, end in pieces
        ]

    return make


def _delete_maker(plan: Plan) -> RequestMaker:
    def request(k: int) -> bytes | None:
        user = user_to_delete(k, plan.users, plan.lowest_deleted_rank)
        return None if user is None else execution(b"soft_delete_user", (b"%d" % user,))

    def make(ks: Sequence[int], _: DrawArray) -> list[bytes | None]:
        return [request(k) for k in ks]

    return make
