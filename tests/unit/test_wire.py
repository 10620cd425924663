"""The wire protocol: requests can be read back, answers are told however they are cut in pieces."""

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
    parsed_execution,
    preparation,
)


def message(kind: bytes, body: bytes = b"") -> bytes:
    """Return a message of the server's."""
    return kind + pack(">i", len(body) + 4) + body


BOUND, READY = message(b"2"), message(b"Z", b"I")
INSERTED = BOUND + message(b"C", b"INSERT 0 1\0") + READY
NOTHING = BOUND + message(b"C", b"UPDATE 0\0") + READY
REFUSED = message(b"E", b"SERROR\0VERROR\0C23505\0Mno: C is taken\0\0") + READY
# The command was complete, its commit failed.
LATE = BOUND + message(b"C", b"INSERT 0 1\0") + REFUSED
SELECTED = BOUND + message(b"D", b"\0\0") + message(b"C", b"SELECT 3\0") + READY
ASIDE = message(b"N", b"SNOTICE\0C01000\0\0") + message(b"S", b"TimeZone\0UTC\0")
CREATED = message(b"C", b"CREATE TABLE\0") + READY
TOLD = {
    INSERTED: Answer(None, 1),
    NOTHING: Answer(None, 0),
    REFUSED: Answer("23505", 0),
    LATE: Answer("23505", 1),
    SELECTED: Answer(None, 3),
    ASIDE + INSERTED: Answer(None, 1),
    CREATED: Answer(None, 0),
}


@given(
    statement=st.text("abc_", min_size=1).map(str.encode),
    parameters=st.lists(st.binary(max_size=3000), max_size=6),
)
def test_a_request_says_what_it_was_made_of(statement: bytes, parameters: list[bytes]) -> None:
    """Statement and parameters are found again, and every length is right."""
    request = execution(statement, parameters)
    assert parsed_execution(request) == (statement, parameters)
    kinds, at = b"", 0
    while at < len(request):
        kinds += request[at : at + 1]
        at += 1 + int.from_bytes(request[at + 1 : at + 5], "big")
    assert (kinds, at) == (b"BES", len(request))


def test_a_statement_is_prepared_under_its_name() -> None:
    """Parse, with types left to the server, and a Sync."""
    assert preparation(b"one", b"SELECT 1") == message(b"P", b"one\0SELECT 1\0\0\0") + message(b"S")


def test_usual_answers_are_what_the_server_says() -> None:
    """Those that are told by their bytes are read the same way when they are taken apart."""
    assert USUAL_ANSWERS[INSERTED] == 1
    assert USUAL_ANSWERS[NOTHING] == 0
    for data, rows in USUAL_ANSWERS.items():
        assert Answers().take_in(data) == [Answer(None, rows)]


@given(
    said=st.lists(st.sampled_from([*TOLD]), max_size=8),
    cuts=st.lists(st.integers(1, 40), max_size=40),
)
def test_answers_are_told_however_they_come(said: list[bytes], cuts: list[int]) -> None:
    """In one piece or cut anywhere, each request has its answer, in order, and nothing is left."""
    data, answers, found = b"".join(said), Answers(), []
    for cut in [*cuts, len(data)]:
        found += answers.take_in(data[:cut])
        data = data[cut:]
    assert found == [TOLD[one] for one in said]
    assert (answers.pending, answers.sqlstate) == (b"", None)


def test_the_last_word_is_kept() -> None:
    """What the server says before it closes the connection is no answer, but the reason."""
    answers = Answers()
    assert answers.take_in(message(b"E", b"SFATAL\0C57P01\0Mbye\0\0")) == []
    assert answers.sqlstate == "57P01"


@pytest.mark.parametrize("data", [message(b"G", b"\0\0\0"), b"C\0\0\0\0", b"C\xff\xff\xff\xff"])
def test_what_nobody_asked_for_is_refused(data: bytes) -> None:
    """A message of another kind, or of an impossible length."""
    with pytest.raises(UnexpectedMessage):
        Answers().take_in(data)
