"""`loadgen workload show` describes values and parameters."""

import pytest

from loadgen.workload import model
from loadgen.workload.describe import value_text
from loadgen.workload.model import Parameter, Value

TEXTS: tuple[tuple[Parameter, str], ...] = (
    (Value(model.Constant("open")), "always 'open'"),
    (Value(model.SqlDefault()), "the column's default"),
    (Value(model.Sequence(1000, "ACC-{:06}")), "1,000, 1,001, … as ACC-{:06}"),
    (Value(model.Uuid()), "a random uuid"),
    (Value(model.Choice(("a", "b"), (1, 1))), "one of a, b"),
    (Value(model.Choice(("a", "b"), (1, 3))), "a (25%), b (75%)"),
    (Value(model.Choice(("a", "b"), (0, 1))), "a (0%), b (100%)"),
    (Value(model.Number(-5, 1200, 2)), "-5 to 1,200, low ones more often (skew 2)"),
    (Value(model.Decimal(4.99, 2447.92, 2)), "4.99 to 2,447.92, 2 decimals"),
    (Value(model.Boolean(0.9)), "true in 90%"),
    (Value(model.Text(5, 40), null_share=0.5), "50% NULL, else words, 5 to 40 characters"),
    (Value(model.Bytes(1, 2)), "1 to 2 random bytes"),
    (Value(model.PersonName()), "a person's name"),
    (Value(model.PersonName("country")), "a person's name, by country"),
    (Value(model.Email()), "an address"),
    (Value(model.Time(7, "growth")), "7 days, in the order of rows"),
    (Value(model.Time(1)), "at random in 1 day"),
    (Value(model.TimeAfter("made_at")), "later than made_at"),
    (Value(model.TimeAfter("made_at", 0.125)), "later than made_at in 0.125 of the rows"),
    (Value(model.TimeAfter("made_at", 0)), "as made_at"),
    (Value(model.Json({"": {}}, pad_to=300)), "JSON, padded to 300 bytes"),
    (Value(model.Json({"a": {}}, by="kind")), "JSON, by kind"),
    (Value(model.Array(model.Number(1, 9), 0, 3)), "0 to 3 of: 1 to 9"),
    (Value(model.Row("users", "id", 3)), "users.id of a row, skew 3"),
    (Value(model.Row("users", "id", each=True)), "users.id of each row in turn"),
    (model.KeyParameter("users", "id"), "a new key, made by the client"),
    (model.OnceParameter("users", "id"), "users.id of each row once, the quietest 20%"),
    (model.InsertedParameter("pay", "no", "oldest"), "no of the rows of pay, in their order"),
    (model.InsertedParameter("pay", "no", "newest"), "no of a recent row of pay"),
    (model.StateParameter("users", "key"), "key of a row of users in its life cycle"),
)


@pytest.mark.parametrize(("parameter", "text"), TEXTS)
def test_each_value_has_its_words(parameter: Parameter, text: str) -> None:
    """The line names the settings that are not defaults."""
    assert value_text(parameter) == text
