"""A region's prices from AWS' Price List API, written as a dated rate card.

Reading is free. A table of which the API does not answer every price stays as the card has it.
The names by which products are asked for are known, not verified: the API was never asked.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from loadgen.costs.aws.client import Clients, asked
from loadgen.costs.cards import PriceTable, RateCard, Source, parse_card
from loadgen.costs.unavailable import Unavailable
from loadgen.record.files import replace_file

_API: Final = "us-east-1"  # the Price List API is there
_READ: Final = "price_list"
_STORED: Final = {"first_50_tb": "0", "next_450_tb": "51200", "over_500_tb": "512000"}
_GROUPS: Final = {"put": "S3-API-Tier1", "get": "S3-API-Tier2"}
_VOLUMES: Final = {"gp2": "General Purpose", "gp3": "General Purpose-GP3"}


@dataclass(frozen=True, slots=True)
class Product:
    """One price of the card, and how the API is asked for it.

    `begins` is the range of a tiered price; the card's unit is `per` of the API's.
    """

    table: str
    column: str
    service: str
    filters: Mapping[str, str]
    begins: str = "0"
    per: int = 1


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What came of it: the card's text, how many prices were read, and what could not be."""

    text: str
    read: int
    missing: tuple[str, ...]


def products(card: RateCard) -> Iterator[Product]:
    """Yield what the card has prices of, and the API too."""
    for table, prices in card.tables.items():
        for column in dict.fromkeys(name for row in prices.rows.values() for name in row):
            if table in _ASKED:
                yield _ASKED[table](column)


def refreshed(card: RateCard, clients: Clients, region: str, today: date) -> Refreshed:
    """Return the card with the region's prices as the API has them today."""
    found: dict[str, dict[str, Decimal]] = {}
    missing: list[str] = []
    for product in products(card):
        price = _asked(clients, product, region)
        if isinstance(price, Unavailable):
            missing.append(f"{product.table} {product.column}: {price.why}")
        else:
            found.setdefault(product.table, {})[product.column] = price
    text = _written(card, region, found, today)
    parse_card(card.name, text, "the card that was just read")  # so that it can be read again
    return Refreshed(text, sum(len(row) for row in found.values()), tuple(missing))


def write_card(folder: Path, card: RateCard, text: str) -> Path:
    """Write the card into the folder of one's own and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{card.name}.toml"
    replace_file(path, text.encode())
    return path


def _instance(column: str) -> Product:
    filters = {
        "instanceType": column,
        "operatingSystem": "Linux",
        "tenancy": "Shared",
        "preInstalledSw": "NA",
        "capacitystatus": "Used",
    }
    return Product("ec2_linux", column, "AmazonEC2", filters)


def _database(column: str) -> Product:
    filters = {
        "instanceType": column,
        "databaseEngine": "PostgreSQL",
        "deploymentOption": "Single-AZ",
    }
    return Product("rds_postgres", column, "AmazonRDS", filters)


def _database_storage(column: str) -> Product:
    filters = {
        "productFamily": "Database Storage",
        "volumeType": _VOLUMES.get(column, column),
        "databaseEngine": "PostgreSQL",
        "deploymentOption": "Single-AZ",
    }
    return Product("rds_storage", column, "AmazonRDS", filters)


def _volume(column: str) -> Product:
    return Product(
        "ebs", column, "AmazonEC2", {"productFamily": "Storage", "volumeApiName": column}
    )


def _stored(column: str) -> Product:
    filters = {"storageClass": "General Purpose", "volumeType": "Standard"}
    return Product("s3_storage", column, "AmazonS3", filters, begins=_STORED[column])


def _requests(column: str) -> Product:
    return Product("s3_requests", column, "AmazonS3", {"group": _GROUPS[column]}, per=1000)


_ASKED: Final = {
    "ec2_linux": _instance,
    "ebs": _volume,
    "rds_postgres": _database,
    "rds_storage": _database_storage,
    "s3_storage": _stored,
    "s3_requests": _requests,
}


def _asked(clients: Clients, product: Product, region: str) -> Decimal | Unavailable:
    """Return a price in the card's unit; where products differ in it, none."""
    filters = [
        {"Type": "TERM_MATCH", "Field": name, "Value": value}
        for name, value in {**product.filters, "regionCode": region}.items()
    ]

    def pages() -> list[Any]:
        pages = clients("pricing", _API).get_paginator("get_products")
        return list(pages.paginate(ServiceCode=product.service, Filters=filters))

    answer = asked("pricing:GetProducts", pages)
    if isinstance(answer, Unavailable):
        return answer
    listed = [json.loads(one, parse_float=Decimal) for page in answer for one in page["PriceList"]]
    prices = {price for one in listed for price in _on_demand(one, product.begins)}
    if len(prices) != 1:
        return Unavailable(f"the Price List API has {len(prices)} prices for it in {region}")
    return prices.pop() * product.per


def _on_demand(listed: Mapping[str, Any], begins: str) -> Iterator[Decimal]:
    for term in listed.get("terms", {}).get("OnDemand", {}).values():
        for dimension in term["priceDimensions"].values():
            if dimension.get("beginRange", "0") == begins and "USD" in dimension["pricePerUnit"]:
                yield Decimal(dimension["pricePerUnit"]["USD"])


def _written(
    card: RateCard, region: str, found: Mapping[str, Mapping[str, Decimal]], today: date
) -> str:
    tables = {
        name: _table(table, region, found.get(name, {})) for name, table in card.tables.items()
    }
    read = Source(title=f"Price List API, {region}, on demand", as_of=today, grade="P")
    cited = {table.source for table in tables.values()}
    sources = {name: one for name, one in {**card.sources, _READ: read}.items() if name in cited}
    lines = [
        f"# Written by `loadgen costs --aws-prices` on {today}.",
        f"vendor = {_quoted(card.vendor)}",
    ]
    for name, source in sources.items():
        lines += ["", f"[sources.{name}]", f"title = {_quoted(source.title)}"]
        lines += [f"url = {_quoted(source.url)}"] if source.url else []
        lines += [f"as_of = {source.as_of}", f"grade = {_quoted(source.grade)}"]
    for name, table in tables.items():
        lines += ["", f"[tables.{name}]", f"unit = {_quoted(table.unit)}"]
        lines.append(f"source = {_quoted(table.source)}")
        for row, prices in table.rows.items():
            cells = ", ".join(f"{_quoted(key)} = {price:f}" for key, price in prices.items())
            lines.append(f"rows.{row} = {{ {cells} }}")
    return "\n".join(lines) + "\n"


def _table(table: PriceTable, region: str, read: Mapping[str, Decimal]) -> PriceTable:
    """Return the table with what was read, where that is all of it or more than there was."""
    before = table.rows.get(region, {})
    if not read or before.keys() - read.keys():
        return table
    return table.model_copy(update={"rows": {region: read}, "source": _READ, "grade": None})


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
