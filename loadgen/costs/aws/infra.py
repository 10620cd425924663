"""What a month of infra/'s resources would cost, by AWS's list prices. Pure.

The quantities are assumptions, which the lines name; a month has 730 hours.
"""

from datetime import date
from decimal import Decimal
from typing import Final

from loadgen.costs.aws.prices import AwsPrices
from loadgen.costs.aws.resources import SOURCE, cost_key
from loadgen.costs.lines import Provenance, cost_line
from loadgen.record.costs import CostLine

HOURS: Final = Decimal(730)
INSTANCE_CLASS: Final = "db.t3.micro"  # the defaults of infra/
STORAGE_GB: Final = 20
_FILES: Final = Decimal(3 * 12 * 730)  # three tables, every five minutes
_STAGED: Final = "1 GB always in the bucket"
_STAGING: Final = "a file of each of three tables every five minutes, read twice"
ASSUMED: Final = f"{_STAGED}; {_STAGING}; RDS in its default size"
_TOOL: Final = "simplyload"  # the tag of the bucket


def options(prices: AwsPrices, day: date) -> dict[str, list[CostLine]]:
    """Return the lines of each option by its name: the bucket alone, and with RDS."""

    def line(tool: str, category: str, unit: str, quantity: Decimal, table: str, column: str,
             note: str = "") -> CostLine:  # fmt: skip
        price = prices.of(table, column, per=1000 if table == "s3_requests" else 1)
        provenance = Provenance("infra/README.md", note, basis="estimate")
        return cost_line(cost_key(tool, category), unit, {day: quantity}, price, provenance)

    puts, gets, kind = "S3 requests, put and alike", "S3 requests, get and alike", INSTANCE_CLASS
    bucket = [
        line(_TOOL, "S3 storage", "GB month", Decimal(1), "s3_storage", "first_50_tb", _STAGED),
        line(_TOOL, puts, "request", _FILES, "s3_requests", "put", _STAGING),
        line(_TOOL, gets, "request", 2 * _FILES, "s3_requests", "get", _STAGING),
        cost_key(_TOOL, "S3 request metrics").not_priced(
            "CloudWatch's custom metrics, up to 16 of them, are not in the card"
        ),
    ]
    gigabytes = Decimal(STORAGE_GB)
    database = [
        line(SOURCE, f"RDS {kind}", "hour", HOURS, "rds_postgres", kind, "without CPU credits"),
        line(SOURCE, "RDS storage gp3", "GB month", gigabytes, "rds_storage", "gp3"),
        line(SOURCE, "public IPv4", "hour", HOURS, "public_ipv4", "address"),
        cost_key(SOURCE, "transfer out").not_priced(
            "the traffic that a tool reads from outside AWS depends on the load"
        ),
    ]
    return {"the bucket": bucket, "the bucket, and RDS": [*bucket, *database]}
