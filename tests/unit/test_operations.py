"""Operations: pure in the draws, legal by construction, never more than a fifth deleted."""

from dataclasses import replace
from decimal import Decimal
from uuid import NAMESPACE_URL, UUID, uuid5

import pytest

from loadgen.load.driver.wire import execution, parsed_executions
from loadgen.load.operations import Operations, Write
from loadgen.workload.data.events import event
from loadgen.workload.data.orders import (
    OPEN_ORDERS_LIMIT,
    OPEN_STATUSES,
    Order,
    next_status,
    order_values,
)
from loadgen.workload.data.pools import small_pools
from loadgen.workload.data.users import (
    lasting_users,
    lowest_deleted_rank,
    user_id,
    user_rank,
)
from loadgen.workload.keys import key_maker
from loadgen.workload.schedule.arrival_process import Arrival, ArrivalProcess
from tests.plans import OPERATIONS, plan_of, unit

USERS = 1000


def arrival(operation: str, k: int, by: Operations | None = None) -> Arrival:
    """Return arrival `k` of seed 1, with what is made of it ahead."""
    drawn = ArrivalProcess(1, operation, "even").draws_from(k)[:, :1]
    (made,) = (by or operations()).ahead[operation]([k], drawn)
    return (float(k), operation, k, made)


def operations(orders: tuple[Order, ...] = (), deleted: tuple[int, ...] = ()) -> Operations:
    """Return the operations of a process that knows `orders`."""
    plan = plan_of(USERS, lowest_deleted_rank(USERS, deleted))
    return Operations(plan, orders)


def written(made: Operations, operation: str, k: int) -> Write:
    """Return the write of an arrival that must have one."""
    write = made.write(arrival(operation, k, made))
    assert write is not None
    return write


def sent(request: bytes) -> tuple[bytes, list[bytes]]:
    """Return the one statement of a request, and its parameters, none of which is NULL."""
    ((statement, parameters),) = parsed_executions(request)
    assert None not in parameters
    return statement, [parameter for parameter in parameters if parameter is not None]


def test_keys_are_uuid5_of_run_operation_and_k() -> None:
    """The fast key is uuid.uuid5's, and differs by run, operation and k."""
    for operation in ("insert_order", "insert_event"):
        for k in (0, 7, 10**9):
            key = key_maker("run", operation)(k).decode()
            assert UUID(key) == uuid5(
                uuid5(NAMESPACE_URL, "simplyload-playground/run"), f"{operation}:{k}"
            )
    assert key_maker("run", "insert_order")(1) != key_maker("other", "insert_order")(1)


def test_values_depend_on_the_draws_alone() -> None:
    """Two processes of one run make the same write of the same arrival."""
    for operation in ("insert_order", "insert_event", "soft_delete_user"):
        both = operations(), operations()
        writes = [[written(made, operation, k).request for k in range(150)] for made in both]
        assert writes[0] == writes[1]
        assert len(set(writes[0])) == 150


def test_made_ahead_or_one_by_one_a_write_is_the_same() -> None:
    """Writes made in one go are those of their arrivals, each with the request of its values."""
    made = operations()
    for operation, make in made.ahead.items():
        together = make(range(100), ArrivalProcess(1, operation, "even").draws_from(0)[:, :100])
        assert [*together] == [arrival(operation, k)[3] for k in range(100)]


@pytest.mark.parametrize("event_bytes", [40, 300, 20_000])
@pytest.mark.parametrize("users", [7, 9_999, 10_000, 2_000_000])
def test_a_request_has_the_values_of_its_draws(event_bytes: int, users: int) -> None:
    """What is made for many at once is what one arrival's own draws say, however wide it is."""
    plan = replace(plan_of(users, users), event_bytes=event_bytes)
    made, streams = Operations(plan), {n: ArrivalProcess(1, n, "even") for n in OPERATIONS}
    pools, active = small_pools(), lasting_users(users)
    for operation in ("insert_event", "insert_order"):
        keys = key_maker(plan.run_id, operation)
        requests = made.ahead[operation](range(200), streams[operation].draws_from(0)[:, :200])
        for k, request in enumerate(requests):
            assert isinstance(request, bytes)
            draws = streams[operation].draws(k)
            statement, (key, user, *values) = sent(request)
            assert request == execution(statement, (key, user, *values))
            assert (statement.decode(), key) == (operation, keys(k))
            rank = int(active * unit(draws[1]) ** 3)
            assert int(user) == user_id(rank, users)
            if operation == "insert_event":
                assert tuple(values) == event(draws, event_bytes)
            else:
                quantity, cents, currency = order_values(draws[3], pools)
                assert (int(values[0]), values[2]) == (quantity, currency)
                assert Decimal(values[1].decode()) * 100 == cents


def test_writes_aim_at_users_that_stay() -> None:
    """Orders and events are of users that no arrival ever deletes, the busy ones more often."""
    made = operations()
    writes = [written(made, "insert_event", k) for k in range(2000)]
    users = [int(sent(write.request)[1][1]) for write in writes]
    ranks = [user_rank(user, USERS) for user in users]
    assert max(ranks) < lasting_users(USERS)
    assert sum(rank < USERS // 10 for rank in ranks) > 0.3 * len(ranks)


def test_never_more_than_a_fifth_of_the_users_are_deleted() -> None:
    """Each arrival deletes a user of its own until a fifth is gone; then nothing is left to do."""
    made = operations()
    targets = [made.write(arrival("soft_delete_user", k, made)) for k in range(USERS)]
    deleted = [write.key for write in targets if write is not None]
    assert len(deleted) == len(set(deleted)) == USERS - lasting_users(USERS)
    assert targets[len(deleted) :] == [None] * (USERS - len(deleted))


def test_a_second_run_goes_on_where_the_first_stopped() -> None:
    """Users that are deleted already are not aimed at again."""
    gone = tuple(int(written(operations(), "soft_delete_user", k).key) for k in range(20))
    later = {int(written(operations(deleted=gone), "soft_delete_user", k).key) for k in range(20)}
    assert later.isdisjoint(gone)


def test_an_order_lives_its_life_one_step_at_a_time() -> None:
    """Each update is a legal step and expects the version before it; a final order is left."""
    made = operations((Order(b"n", "pending", 4),))
    status, version = "pending", 4
    for k in range(10):
        write = made.write(arrival("update_order_status", k))
        if write is None:
            break
        statement, (number, following, expected) = sent(write.request)
        assert (statement, number) == (b"update_order_status", b"n")
        assert int(expected) == version
        steps = {next_status(status, u / 100) for u in range(100)}
        assert following.decode() in steps
        status, version = following.decode(), version + 1
        made.committed(write)
    assert status not in OPEN_STATUSES
    assert made.write(arrival("update_order_status", 99)) is None


def test_an_order_is_not_taken_twice_at_once() -> None:
    """While a user changes an order no other can; a refused change gives it back unchanged."""
    made = operations((Order(b"n", "pending", 0),))
    write = written(made, "update_order_status", 0)
    assert made.write(arrival("update_order_status", 1)) is None
    made.refused(write)
    assert written(made, "update_order_status", 2).version == 0


def test_a_new_order_can_be_changed_once_it_is_committed() -> None:
    """Updates reach the orders of this run."""
    made = operations()
    write = written(made, "insert_order", 0)
    assert made.write(arrival("update_order_status", 0)) is None
    made.committed(write)
    assert written(made, "update_order_status", 1).key == write.key


def test_the_open_orders_are_bounded() -> None:
    """Over 48 hours the list does not grow; the oldest orders are forgotten."""
    made = operations(tuple(Order(b"%d" % i, "pending", 0) for i in range(OPEN_ORDERS_LIMIT)))
    for k in range(50):
        made.committed(written(made, "insert_order", k))
    taken: set[bytes] = set()
    while (write := made.write(arrival("update_order_status", len(taken), made))) is not None:
        taken.add(write.key)
    assert len(taken) == OPEN_ORDERS_LIMIT
    assert not {b"%d" % i for i in range(50)} & taken


def test_recent_orders_are_more_likely() -> None:
    """Half of the updates fall on the newest eighth."""
    orders = tuple(Order(b"%d" % i, "pending", 0) for i in range(8000))
    keys = [written(operations(orders), "update_order_status", k).key for k in range(500)]
    ages = [8000 - int(key) for key in keys]
    assert 0.4 < sum(age <= 1000 for age in ages) / len(ages) < 0.6
