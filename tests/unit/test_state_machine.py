"""Rows that move through their states: legal by construction, one process at a time."""

from random import Random

import pytest

from loadgen.load.columns import value_makers
from loadgen.load.driver.wire import parsed_executions
from loadgen.load.state_machine import ROWS_LIMIT, StateMachine, StateRow, added_row
from loadgen.load.writes import Write, Writes, writes_of
from loadgen.workload.model import Operation, Statement, StateParameter, Value, WorkloadModel
from loadgen.workload.schedule.arrival_process import Arrival, Move
from loadgen.workload.schedule.arrivals import schedule_of
from loadgen.workload.schedule.shards import WHOLE
from tests.ledger_model import BANK, KEY_TYPES, operation
from tests.plans import SHOP, plan_for, plan_of

MOVE = "update_order_status"


def writes(*orders: StateRow) -> Writes:
    """Return the writes of a process of the shop that knows `orders`."""
    return _writes(SHOP, {"orders": orders})


def _writes(model: WorkloadModel, rows: dict[str, tuple[StateRow, ...]]) -> Writes:
    plan = (
        plan_of()
        if model is SHOP
        else plan_for(
            model,
            key_types=KEY_TYPES,
            first_keys={"entries.entry_id": 1, "receipts.id": 1},
            once_used={"Bank.Accounts": ""},
        )
    )
    return writes_of(model, plan, value_makers(model, plan), schedule_of(plan, WHOLE), rows)


def arrival(made: Writes, name: str, k: int) -> Arrival:
    """Return arrival `k` with its prepared request."""
    return float(k), name, k, made.compiled[name].make([k], [float(k)])[0]


def written(made: Writes, name: str, k: int) -> Write:
    """Return the write of an arrival that must have one."""
    write = made.write(arrival(made, name, k))
    assert write is not None
    return write


def test_a_row_lives_its_life_one_step_at_a_time() -> None:
    """Each move is a legal step and expects the version before it; a final row is left."""
    made = writes(StateRow(b"n", "pending", 4))
    states = SHOP.tables["orders"].states
    assert states is not None
    state, version = "pending", 4
    for k in range(10):
        write = made.write(arrival(made, MOVE, k))
        if write is None:
            break
        ((statement, (following, number, expected)),) = parsed_executions(write.request)
        assert (statement, number) == (b"update_order_status_1", b"n")
        assert (made.key(write), made.version(write)) == ("n", version)
        assert int(expected or b"") == version
        assert following is not None
        assert following.decode() in {step.state for step in states.next_states[state]}
        state, version = following.decode(), version + 1
        made.committed(write)
    assert state not in states.open_states
    assert made.write(arrival(made, MOVE, 99)) is None


def test_a_row_is_not_taken_twice_at_once() -> None:
    """While a user moves a row no other can; a refused move gives it back unchanged."""
    made = writes(StateRow(b"n", "pending", 0))
    write = written(made, MOVE, 0)
    assert made.write(arrival(made, MOVE, 1)) is None
    made.refused(write)
    assert made.version(written(made, MOVE, 2)) == 0


@pytest.mark.parametrize(
    ("model", "insert", "move"),
    [(SHOP, "insert_order", MOVE), (BANK, "open_ticket", "move_ticket")],
)
def test_a_new_row_can_be_moved_once_it_is_committed(
    model: WorkloadModel, insert: str, move: str
) -> None:
    """Moves reach the rows of this run, wherever their key lies in the insert."""
    made = _writes(model, {})
    for k in range(20):
        write = written(made, insert, k)
        assert made.write(arrival(made, move, k)) is None
        made.inserted(insert, arrival(made, insert, k)[3])
        moved = written(made, move, k)
        assert made.key(moved) == made.key(write)
        assert model.tables[model.operations[move].table].name in ("orders", "tickets")


def test_a_move_has_its_other_values() -> None:
    """They stand in the order of the statement, beside the row's key, state and version."""
    made = _writes(BANK, {"tickets": (StateRow(b"T-1", "open", 7),)})
    write = written(made, "move_ticket", 0)
    ((_, (state, code, moves, agent)),) = parsed_executions(write.request)
    assert state in {b"done", b"waiting"}
    assert (code, moves) == (b"T-1", b"7")
    assert agent in {b"Kim", None}


@pytest.mark.parametrize("seed", range(3))
def test_many_rows_are_noted_as_one_by_one(seed: int) -> None:
    """New ones and moved ones; those in a final state and the oldest are left out."""
    states = SHOP.tables["orders"].states
    assert states is not None
    random = Random(seed)
    together, alone = StateMachine(states), StateMachine(states)
    every = sorted(
        {*states.open_states, *(s.state for n in states.next_states.values() for s in n)}
    )
    for _ in range(40):
        keys = [random.randbytes(4) for _ in range(random.choice((0, 1, 50, 900)))]
        if random.random() < 0.5:
            rows = [StateRow(key, random.choice(every), 3) for key in keys]
            together.add_all(rows)
        else:
            rows = [StateRow(key, states.first, 0) for key in keys]
            together.add_new(keys, states.first)
        for row in rows:
            alone.add(row)
        ages = [random.random() for _ in range(random.randint(0, 300))]
        assert [together.take(age) for age in ages] == [alone.take(age) for age in ages]


def test_the_rows_are_bounded() -> None:
    """Over 48 hours the list does not grow; the oldest rows are forgotten."""
    made = writes(*(StateRow(b"%d" % i, "pending", 0) for i in range(ROWS_LIMIT)))
    for k in range(50):
        made.committed(written(made, "insert_order", k))
    taken: set[str] = set()
    while (write := made.write(arrival(made, MOVE, len(taken)))) is not None:
        taken.add(made.key(write))
    assert len(taken) == ROWS_LIMIT
    assert not {str(i) for i in range(50)} & taken


def test_recent_rows_are_more_likely() -> None:
    """Half of the moves fall on the newest eighth."""
    states = SHOP.tables["orders"].states
    assert states is not None
    rows = [StateRow(b"%d" % i, "pending", 0) for i in range(8000)]
    moves = writes().compiled[MOVE].make(range(500), [0.0] * 500)
    taken = [StateMachine(states, rows).take(move.age) for move in moves if isinstance(move, Move)]
    ages = [8000 - int(row.key) for row in taken if row is not None]
    assert 0.4 < sum(age <= 1000 for age in ages) / 500 < 0.6


def inserting(sql: str, parameters: tuple[str, ...]) -> Operation:
    """Return an operation that inserts tickets."""
    code = BANK.operations["open_ticket"].parameters["code"]
    state = Value(BANK.operations["move_ticket"].parameters["agent"].generator)  # type: ignore[union-attr] # a Value
    return operation(
        "file", (Statement(sql, parameters, "insert", "tickets"),), {"code": code, "state": state}
    )


@pytest.mark.parametrize(
    ("sql", "parameters", "expected"),
    [
        ("INSERT INTO tickets (code) VALUES ($1)", ("code",), "new"),
        ("INSERT INTO tickets (state, code) VALUES ('open', $1)", ("code",), "open"),
        ("INSERT INTO tickets (code, state) VALUES ($1, 'open'::text)", ("code",), "open"),
        (
            "INSERT INTO tickets (code, state) OVERRIDING SYSTEM VALUE VALUES ($1, 'open')",
            ("code",),
            "open",
        ),
        ("INSERT INTO tickets (code, state) VALUES ($1,$2)", ("code", "state"), None),
        ("INSERT INTO tickets (code, state) VALUES ($1, $2)", ("code", "state"), None),
        ("INSERT INTO tickets (code, state) SELECT $1, 'open'", ("code",), None),
    ],
)
def test_rows_are_added_in_the_state_that_their_insert_gives(
    sql: str, parameters: tuple[str, ...], expected: str | None
) -> None:
    """A constant or the column's default gives the state; with any other value it is unknown."""
    added = added_row(BANK, inserting(sql, parameters))
    assert added == (None if expected is None else ("tickets", "code", expected))


def test_a_move_is_no_insert() -> None:
    """It adds no row."""
    assert added_row(BANK, BANK.operations["move_ticket"]) is None
    assert isinstance(BANK.operations["move_ticket"].parameters["code"], StateParameter)
