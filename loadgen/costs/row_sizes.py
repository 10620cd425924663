"""How many bytes a change is, from rows as the load makes them.

Vendors count bytes in their own way and none says it exactly, so there are three figures: the
values alone; the row as JSON, names included, which is what the estimates use; and the row in an
Airbyte protocol message with its CDC columns and its JSON quoted, the widest that is known.
"""

import json
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from statistics import fmean
from typing import Final

from loadgen.workload.data import events, synthetic
from loadgen.workload.data.pools import small_pools
from loadgen.workload.schedule.streams import ArrivalProcess

_SAMPLES: Final = 256
_TIME: Final = "2026-11-23T08:00:00.000000Z"
_UUID: Final = "01234567-89ab-5cde-8f01-23456789abcd"
_CDC: Final = {
    "_ab_cdc_lsn": 123456789012,
    "_ab_cdc_updated_at": _TIME,
    "_ab_cdc_deleted_at": None,
}


@dataclass(frozen=True, slots=True)
class Width:
    """Mean bytes of a change of one kind, counted in three ways."""

    low: Decimal
    likely: Decimal
    high: Decimal


@cache
def widths(event_bytes: int) -> dict[str, Width]:
    """Return the width of one change by operation, of events with so many bytes of properties."""
    order = _order()
    return {
        "insert_order": order,
        "insert_event": _event(event_bytes),
        "update_order_status": order,
        "soft_delete_user": _width([_USER], "users"),
    }


_USER: Final = {
    "id": 12345,
    "email": "firstname.lastname12345@example.com",
    "name": "Firstname Lastname",
    "plan": "business",
    "country": "DE",
    "created_at": _TIME,
    "updated_at": _TIME,
    "deleted_at": _TIME,
    "version": 1,
}


def _order() -> Width:
    process, pools = ArrivalProcess(1, "insert_order", "even"), small_pools()
    rows = []
    for k in range(_SAMPLES):
        quantity, amount, currency = synthetic.order(process.draws(k), pools)
        rows.append(
            {
                "id": 123456 + k,
                "order_number": _UUID,
                "user_id": 12345,
                "status": synthetic.STATUSES[k % 4],
                "quantity": int(quantity),
                "amount": float(amount),
                "currency": currency.decode(),
                "created_at": _TIME,
                "updated_at": _TIME,
                "deleted_at": None,
                "version": 1,
            }
        )
    return _width(rows, "orders")


def _event(event_bytes: int) -> Width:
    process = ArrivalProcess(1, "insert_event", "even")
    rows = []
    for k in range(_SAMPLES):
        kind, properties = events.event(process.draws(k), event_bytes)
        rows.append(
            {
                "id": 1234567 + k,
                "event_id": _UUID,
                "user_id": 12345,
                "event_type": kind.decode(),
                "properties": properties.decode(),
                "created_at": _TIME,
                "updated_at": _TIME,
            }
        )
    return _width(rows, "events")


def _width(rows: list[dict[str, object]], process: str) -> Width:
    values = [sum(len(str(value).encode()) for value in row.values()) for row in rows]
    plain = [len(_json(row | _parsed(row))) for row in rows]
    messages = [len(_json(_message(row, process))) for row in rows]
    return Width(*(Decimal(round(fmean(found))) for found in (values, plain, messages)))


def _parsed(row: dict[str, object]) -> dict[str, object]:
    properties = row.get("properties")
    return {"properties": json.loads(properties)} if isinstance(properties, str) else {}


def _message(row: dict[str, object], name: str) -> dict[str, object]:
    record = {
        "stream": name,
        "namespace": "public",
        "data": row | _CDC,
        "emitted_at": 1795420800,
    }
    return {"type": "RECORD", "record": record}


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
