"""How many bytes a change has, from rows as the load makes them.

Vendors count bytes in different ways that none of them documents exactly. So there are three
figures: the values alone; the row as JSON with its names, which the estimates use; and the row in
an Airbyte protocol message with CDC columns and quoted JSON, the widest known form.
"""

import json
from decimal import Decimal
from functools import cache
from statistics import fmean
from typing import Final

import numpy as np

from loadgen.costs.usage import Band
from loadgen.workload.data.events import event
from loadgen.workload.data.orders import STATUSES, order_values
from loadgen.workload.data.pools import small_pools
from loadgen.workload.streams import Stream

_SAMPLES: Final = 256
_TIME: Final = "2026-11-23T08:00:00.000000Z"
_UUID: Final = "01234567-89ab-5cde-8f01-23456789abcd"
_CDC: Final = {
    "_ab_cdc_lsn": 123456789012,
    "_ab_cdc_updated_at": _TIME,
    "_ab_cdc_deleted_at": None,
}


@cache
def row_sizes(event_bytes: int) -> dict[str, Band[Decimal]]:
    """Return the mean bytes of one change by table, for events with that many of properties."""
    return {
        "users": _mean_bytes([_USER], "users"),
        "orders": _order(),
        "events": _event(event_bytes),
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


def _order() -> Band[Decimal]:
    pools = small_pools()
    rows = []
    for k, draw in enumerate(Stream("orders").bits(np.arange(_SAMPLES)).tolist()):
        quantity, cents, currency = order_values(draw, pools)
        rows.append(
            {
                "id": 123456 + k,
                "order_number": _UUID,
                "user_id": 12345,
                "status": STATUSES[k % 4],
                "quantity": quantity,
                "amount": cents / 100,
                "currency": currency.decode(),
                "created_at": _TIME,
                "updated_at": _TIME,
                "deleted_at": None,
                "version": 1,
            }
        )
    return _mean_bytes(rows, "orders")


def _event(event_bytes: int) -> Band[Decimal]:
    rows = []
    for k, draws in enumerate(Stream("events").words(np.arange(_SAMPLES), 2).tolist()):
        kind, properties = event(draws, event_bytes)
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
    return _mean_bytes(rows, "events")


def _mean_bytes(rows: list[dict[str, object]], table: str) -> Band[Decimal]:
    values = [sum(len(str(cell).encode()) for cell in row.values()) for row in rows]
    plain = [len(_json(row | _parsed(row))) for row in rows]
    messages = [len(_json(_message(row, table))) for row in rows]
    return Band(*(Decimal(round(fmean(lengths))) for lengths in (values, plain, messages)))


def _parsed(row: dict[str, object]) -> dict[str, object]:
    properties = row.get("properties")
    return {"properties": json.loads(properties)} if isinstance(properties, str) else {}


def _message(row: dict[str, object], table: str) -> dict[str, object]:
    record = {
        "stream": table,
        "namespace": "public",
        "data": row | _CDC,
        "emitted_at": 1795420800,
    }
    return {"type": "RECORD", "record": record}


def _json(row: dict[str, object]) -> bytes:
    return json.dumps(row, separators=(",", ":")).encode()
