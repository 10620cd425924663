"""A region's prices from AWS' Price List API, written as a dated rate card.

Reading is free. What the API does not answer stays as the card in force has it, with its source.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from loadgen.costs.aws_door import Clients, asked
from loadgen.costs.cards import PriceTable, RateCard, Source, parse_card
from loadgen.costs.reading import Unread
from loadgen.record_files import replace_file

_API: Final = "us-east-1"  # the Price List API is there
_GROUPS: Final = {"put": "S3-API-Tier1", "get": "S3-API-Tier2"}
_VOLUMES: Final = {"gp2": "General Purpose", "gp3": "General Purpose-GP3"}


@dataclass(frozen=True, slots=True)
class Product:
    """One price of the card, and how the API is asked for it; `per` units are the card's one."""

    table: str
    column: str
    service: str
    filters: Mapping[str, str]
    per: int = 1


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What came of it: the card's text, how many prices were read, and what could not be."""

    text: str
    read: int
    missing: tuple[str, ...]


def refreshed(card: RateCard, clients: Clients, region: str, today: date) -> Refreshed:
    """Return the card with the region's prices as the API has them today."""
    client = clients("pricing", _API)
    found: dict[str, dict[str, Decimal]] = {}
    missing: list[str] = []
    published = ""
    for product in products(card, region):
        answer = asked("pricing:GetProducts", lambda one=product: _price(client, one))  # type: ignore[misc]
        if isinstance(answer, Unread):
            missing.append(f"{product.table} {product.column}: {answer.why}")
            continue
        price, when = answer
        found.setdefault(product.table, {})[product.column] = price
        published = max(published, when)
    text = _written(card, region, found, published or today.isoformat())
    parse_card(card.name, text, "the card that was just read")
    return Refreshed(text, sum(len(row) for row in found.values()), tuple(missing))


def write_card(folder: Path, card: RateCard, text: str) -> Path:
    """Write the card into the folder of one's own and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{card.name}.toml"
    replace_file(path, text.encode())
    return path
