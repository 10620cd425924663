"""The wire protocol: requests can be read back, and answers are read however they are cut."""

from collections.abc import Iterator
from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.load.driver.wire import (
    USUAL_ANSWERS,
    Answer,
    Answers,
    UnexpectedMessage,
    execution,
    parameter_slices,
    parsed_executions,
    preparation,
    transaction,
)


def message(kind: bytes, body: bytes = b"") -> bytes:
    """Return a message of the server's."""
    return kind + pack(">i", len(body) + 4) + body


BOUND, READY = message(b"2"), message(b"Z", b"I")
INSERTED = BOUND + message(b"C", b"INSERT 0 1\0") + READY
NOTHING = BOUND + message(b"C", b"UPDATE 0\0") + READY
REFUSED = message(b"E", b"SERROR\0VERROR\0C23505\0Mno: C is taken\0\0") + READY
THREE = BOUND + message(b"C", b"UPDATE 1\0") + BOUND + message(b"C", b"DELETE 0\0")
THREE += BOUND + message(b"C", b"INSERT 0 12\0") + READY
SECOND_REFUSED = BOUND + message(b"C", b"UPDATE 1\0") + REFUSED
EMPTY_FIRST = BOUND + message(b"I") + BOUND + message(b"C", b"UPDATE 2\0") + READY
# The command was complete, its commit failed.
LATE = BOUND + message(b"C", b"INSERT 0 1\0") + REFUSED
SELECTED = BOUND + message(b"D", b"\0\0") + message(b"C", b"SELECT 3\0") + READY
ASIDE = message(b"N", b"SNOTICE\0C01000\0\0") + message(b"S", b"TimeZone\0UTC\0")
CREATED = message(b"C", b"CREATE TABLE\0") + READY
ANSWERS = {
    INSERTED: Answer(None, (1,)),
    NOTHING: Answer(None, (0,)),
    THREE: Answer(None, (1, 0, 12)),
    EMPTY_FIRST: Answer(None, (0, 2)),
    REFUSED: Answer("23505", ()),
    SECOND_REFUSED: Answer("23505", ()),
    LATE: Answer("23505", ()),
    SELECTED: Answer(None, (3,)),
    ASIDE + INSERTED: Answer(None, (1,)),
    CREATED: Answer(None, (0,)),
}
PARAMETERS = st.lists(st.none() | st.binary(max_size=3000), max_size=6)
EXECUTIONS = st.tuples(st.text("abc_", min_size=1).map(str.encode), PARAMETERS)


@pytest.fixture(autouse=True)
def _nothing_learned() -> Iterator[None]:
    """Let no test depend on the answers that another has learned."""
    USUAL_ANSWERS.clear()
    yield
    USUAL_ANSWERS.clear()


@given(executions=st.lists(EXECUTIONS, min_size=1, max_size=4))
def test_a_request_is_read_back_as_it_was_made(
    executions: list[tuple[bytes, list[bytes | None]]],
) -> None:
    """Statements and parameters are the same, NULL too, and every length is right."""
    request = transaction(executions)
    assert parsed_executions(request) == executions
    kinds, at = b"", 0
    while at < len(request):
        kinds += request[at : at + 1]
        at += 1 + int.from_bytes(request[at + 1 : at + 5], "big")
    assert (kinds, at) == (b"BE" * len(executions) + b"S", len(request))
    for n, (_, parameters) in enumerate(executions):
        slices = parameter_slices(request, n)
        assert [request[place] for place in slices] == [each or b"" for each in parameters]


def test_one_statement_is_a_transaction_of_one() -> None:
    """There is one form of a request; a statement that it does not have is an error."""
    request = execution(b"one", (b"1", None))
    assert request == transaction([(b"one", (b"1", None))])
    with pytest.raises(IndexError, match="statement 1"):
        parameter_slices(request, 1)


def test_a_statement_is_prepared_under_its_name() -> None:
    """Parse, with types left to the server, and a Sync."""
    assert preparation(b"one", b"SELECT 1") == message(b"P", b"one\0SELECT 1\0\0\0") + message(b"S")


def test_a_whole_answer_without_an_error_is_learned() -> None:
    """Its bytes are remembered with the row counts that were read in it."""
    answers = Answers()
    for answer in ANSWERS:
        answers.take_in(answer)
    learned = {INSERTED: (1,), NOTHING: (0,), THREE: (1, 0, 12)}
    assert learned == USUAL_ANSWERS


@pytest.mark.parametrize("cut", range(1, len(THREE)))
def test_a_part_of_an_answer_is_not_learned(cut: int) -> None:
    """However it is cut: the rest of a long answer can look like a whole one."""
    answers = Answers()
    assert answers.take_in(THREE[:cut]) == []
    assert not answers.between  # so the rest is not looked up either
    assert answers.take_in(THREE[cut:]) == [ANSWERS[THREE]]
    assert answers.between
    answers.take_in(INSERTED * 2)
    assert USUAL_ANSWERS == {}


def test_what_is_learned_is_bounded() -> None:
    """Counts that are new each time don't fill the memory, and the usual ones are learned again."""
    answers = Answers()
    for n in range(1000):
        answers.take_in(BOUND + message(b"C", b"UPDATE %d\0" % n) + READY)
        answers.take_in(INSERTED)
    assert len(USUAL_ANSWERS) <= 256
    assert USUAL_ANSWERS[INSERTED] == (1,)


@given(
    parts=st.lists(st.sampled_from([*ANSWERS]), max_size=8),
    cuts=st.lists(st.integers(1, 40), max_size=40),
)
def test_answers_are_read_however_they_come(parts: list[bytes], cuts: list[int]) -> None:
    """In one piece or cut anywhere, each request has its answer, in order, and nothing is left."""
    rest, answers, completed = b"".join(parts), Answers(), []
    for cut in [*cuts, len(rest)]:
        completed += answers.take_in(rest[:cut])
        rest = rest[cut:]
    assert completed == [ANSWERS[part] for part in parts]
    assert (answers.pending, answers.sqlstate, answers.between) == (b"", None, True)


def test_the_last_word_is_kept() -> None:
    """A server's message before it closes the connection is no answer, but the reason."""
    answers = Answers()
    assert answers.take_in(message(b"E", b"SFATAL\0C57P01\0Mbye\0\0")) == []
    assert (answers.sqlstate, answers.message) == ("57P01", "bye")


@pytest.mark.parametrize("data", [message(b"G", b"\0\0\0"), b"C\0\0\0\0", b"C\xff\xff\xff\xff"])
def test_what_nobody_asked_for_is_refused(data: bytes) -> None:
    """A message of another kind, or of an impossible length."""
    with pytest.raises(UnexpectedMessage):
        Answers().take_in(data)
