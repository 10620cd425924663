"""What each type of Postgres lands as, and how a staged text becomes such a value.

A type without a counterpart lands as the text that Postgres prints, so that no value changes. A
value that the counterpart can't hold (a numeric NaN, a date after the year 5,881,580) stops the
tool with the destination's message: nothing is landed wrong in silence.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from loadgen.tools.columns import CatalogColumn, Family

WarehouseEngine = Literal["duckdb", "snowflake"]

_CAST: Final = "CAST({c} AS {type})"
_LONGEST_DECIMAL: Final = 38  # digits, in both engines
_DECIMAL: Final = re.compile(r"numeric(?:\((\d+),(-?\d+)\))?")
# DuckDB expects the era after the date, Postgres prints it at the end.
_DUCKDB_TIME: Final = (
    "CAST(CASE WHEN {c} LIKE '% BC' THEN regexp_replace({c}, '^(\\S+)(.*) BC$', '\\1 (BC)\\2')"
    " ELSE {c} END AS {type})"
)


@dataclass(frozen=True, slots=True)
class Landing:
    """A type of the destination, and the expression that makes it of a staged text {c}."""

    type: str
    expression: str = _CAST

    def value(self, text: str) -> str:
        """Return SQL for the value of a staged text."""
        return self.expression.replace("{c}", text).replace("{type}", self.type)


_LANDINGS: Final[Mapping[WarehouseEngine, Mapping[Family, Landing]]] = {
    "duckdb": {
        "integer": Landing("BIGINT"),
        "float": Landing("DOUBLE"),
        "boolean": Landing("BOOLEAN"),
        "date": Landing("DATE", _DUCKDB_TIME),
        "timestamp": Landing("TIMESTAMP", _DUCKDB_TIME),
        "timestamptz": Landing("TIMESTAMPTZ", _DUCKDB_TIME),
        "time": Landing("TIME"),
        "uuid": Landing("UUID"),
        "json": Landing("JSON"),
        "binary": Landing("BLOB", "unhex(substr({c}, 3))"),  # after \x
    },
    "snowflake": {
        "integer": Landing("NUMBER(38,0)"),
        "float": Landing("FLOAT", "CAST(REPLACE({c}, 'Infinity', 'inf') AS {type})"),
        "boolean": Landing("BOOLEAN"),
        "date": Landing("DATE"),
        "timestamp": Landing("TIMESTAMP_NTZ"),
        "timestamptz": Landing("TIMESTAMP_TZ"),
        "time": Landing("TIME"),
        "json": Landing("VARIANT", "PARSE_JSON({c})"),
        "binary": Landing("BINARY", "TO_BINARY(SUBSTR({c}, 3), 'HEX')"),
    },
}
_SINGLE: Final = Landing("FLOAT")  # DuckDB's real: as a double it would print other digits
TEXT: Final = Landing("VARCHAR", "{c}")


def landing(column: CatalogColumn | None, engine: WarehouseEngine) -> Landing:
    """Return what a column of the source lands as; None is one that the source no longer has."""
    if column is None:
        return TEXT
    decimal = _DECIMAL.fullmatch(column.type)
    if decimal is not None:
        precision, scale = int(decimal[1] or 0), int(decimal[2] or 0)
        if not 0 <= scale <= precision <= _LONGEST_DECIMAL or not precision:
            return TEXT
        return Landing(f"{'DECIMAL' if engine == 'duckdb' else 'NUMBER'}({precision},{scale})")
    if engine == "duckdb" and column.type == "real":
        return _SINGLE
    return _LANDINGS[engine].get(column.family, TEXT)
