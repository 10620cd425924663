"""What a month of infra/'s resources would cost, by AWS' list prices. Pure.

Quantities are assumptions and say so; a month is 730 hours.
"""

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Final

from loadgen.costs.aws.prices import AwsPrices
from loadgen.costs.lines import CostKey, Provenance, priced
from loadgen.record.costs import CostLine

HOURS: Final = Decimal(730)
INSTANCE_CLASS: Final = "db.t3.micro"  # the program's own defaults
STORAGE_GB: Final = 20
_GIGABYTES: Final = Decimal(1)
_FILES: Final = Decimal(3 * 12 * 730)  # three tables, every five minutes
_BY_DEFAULT: Final = "infra/README.md"
_STAGED: Final = "1 GB always in the bucket"
_STAGING: Final = "a file of each of three tables every five minutes, read twice"
ASSUMED: Final = f"{_STAGED}; {_STAGING}; RDS as small as it is by default"


def options(prices: AwsPrices, day: date) -> dict[str, list[CostLine]]:
    """Return the lines of each option by its name: the bucket alone, and with RDS."""
    bucket = _bucket(prices, day)
    return {"the bucket": bucket, "the bucket, and RDS": [*bucket, *_database(prices, day)]}


def _bucket(prices: AwsPrices, day: date) -> list[CostLine]:
    line = _liner(prices, day, "simplyload")
    metrics = CostKey("simplyload", "service", "S3 request metrics")
    return [
        line("S3 storage", "GB month", _GIGABYTES, ("s3_storage", "first_50_tb"), _STAGED),
        line("S3 requests, put and alike", "request", _FILES, ("s3_requests", "put"), _STAGING),
        line("S3 requests, get and alike", "request", 2 * _FILES, ("s3_requests", "get"), _STAGING),
        metrics.unpriced("CloudWatch's custom metrics, up to 16 of them, are not in the card"),
    ]


def _database(prices: AwsPrices, day: date) -> list[CostLine]:
    line = _liner(prices, day, "source")
    kind, size = INSTANCE_CLASS, Decimal(STORAGE_GB)
    transfer = CostKey("source", "customer", "transfer out")
    return [
        line(f"RDS {kind}", "hour", HOURS, ("rds_postgres", kind), "CPU credits are not in it"),
        line("RDS storage gp3", "GB month", size, ("rds_storage", "gp3"), ""),
        line("public IPv4", "hour", HOURS, ("public_ipv4", "address"), ""),
        transfer.unpriced("what a tool reads from outside of AWS depends on the load"),
    ]


def _liner(
    prices: AwsPrices, day: date, tool: str
) -> Callable[[str, str, Decimal, tuple[str, str], str], CostLine]:
    def line(
        category: str, unit: str, quantity: Decimal, column: tuple[str, str], note: str
    ) -> CostLine:
        table, _ = column
        price = prices.of(*column, per=1000 if table == "s3_requests" else 1)
        what = CostKey(tool, "customer" if tool == "source" else "service", category)
        return priced(
            what, unit, {day: quantity}, price, Provenance(_BY_DEFAULT, note, basis="estimate")
        )

    return line
