"""The cost lines of one tool's warehouse and database, from what was read. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Final

from loadgen.costs.billing_window import Window
from loadgen.costs.lines import ByDay, CostKey, Provenance, UnitPrice, exact, joined, priced
from loadgen.costs.snowflake.credits import Used, billed_cloud, metered, scaled, total
from loadgen.costs.snowflake.prices import TERABYTE, SnowflakePrices
from loadgen.costs.snowflake.reading import DELAYS, NO_WAREHOUSE, Reading
from loadgen.costs.snowflake.rows import Serverless
from loadgen.costs.snowflake.users import OtherUsers
from loadgen.costs.unavailable import Unavailable, not_yet
from loadgen.record.costs import CostLine
from loadgen.tools.tools_file import Tool

ALL_TOOLS: Final = "all tools"
_VIEW: Final = {
    "metered": "WAREHOUSE_METERING_HISTORY",
    "live": "INFORMATION_SCHEMA's WAREHOUSE_METERING_HISTORY",
    "model": "uptime model",
}


@dataclass(frozen=True, slots=True)
class Case:
    """One tool, its part of the warehouse, and what was read."""

    tool: Tool
    reading: Reading
    prices: SnowflakePrices
    part: Decimal = Decimal(1)
    shared: str = ""

    @property
    def warehouse(self) -> str:
        """The tool's warehouse as Snowflake writes it."""
        return str(self.tool.warehouse).upper()

    @property
    def database(self) -> str:
        """The tool's database as Snowflake writes it."""
        return str(self.tool.database).upper()

    def what(self, category: str) -> CostKey:
        """Return what a line of the tool's is about; Snowflake's bill is the customer's."""
        return CostKey(self.tool.name, "customer", category)

    def credits(self, category: str, parts: ByDay, provenance: Provenance) -> CostLine:
        """Return a line of credits, of which the tool's part is its own."""
        return priced(
            self.what(category), "credit", scaled(parts, self.part), self.prices.credit, provenance
        )


def compute(case: Case, used: Used) -> Iterator[CostLine]:
    """Yield the warehouse's credits: work, other users' work and idle, or all in one."""
    known = case.reading.warehouses
    shown = known.get(case.warehouse) if not isinstance(known, Unavailable) else None
    source = f"{_VIEW[used.how]} of {shown or case.warehouse}"
    later = case.reading.clock.final("its cloud services and attributed credits")
    final = used.how == "metered" and later
    other_users = OtherUsers.of(case.tool, case.reading)
    strange = Decimal(0) if case.shared else other_users.share_of_work

    def provenance(more: str = "") -> Provenance:
        note = joined(case.shared, *used.notes, more)
        return Provenance(source, note, final, "estimate" if used.how == "model" else "measured")

    work, idle = used.work, used.idle
    if work is None or idle is None:
        yield case.credits("compute", used.compute, provenance(other_users.words))
        return
    own = provenance("" if strange else other_users.words)
    yield case.credits("compute: work", scaled(work, 1 - strange), own)
    if strange:
        yield case.credits(
            "compute: other users", scaled(work, strange), provenance(other_users.words)
        )
    yield case.credits("compute: idle", idle, provenance())


def cloud(case: Case, used: Used) -> CostLine:
    """Return the cloud services that are billed by the daily rule."""
    what, days, clock = case.what("cloud services"), case.reading.days, case.reading.clock
    if isinstance(days, Unavailable):
        return what.unpriced(days)
    billed = None
    if used.cloud is not None:
        billed = billed_cloud(used.cloud, {day.day: day for day in days})
    if used.cloud is None or billed is None:
        ready = clock.after_days("METERING_DAILY_HISTORY")
        if clock.now < ready:
            late = "METERING_DAILY_HISTORY and the warehouse's hours are not filled yet"
            return what.unpriced(not_yet(late, ready))
        return what.unpriced(
            "Snowflake has no figure of the warehouse's or the account's cloud services"
        )
    note = joined(
        case.shared,
        f"{exact(total(used.cloud.values()) * case.part).normalize():f} credits before the daily "
        "rule: a tenth of the account's warehouse credits is free each day; what is above is split "
        "by who used it",
    )
    final = clock.final("METERING_DAILY_HISTORY", daily=True)
    return case.credits("cloud services", billed, Provenance("METERING_DAILY_HISTORY", note, final))


def acceleration(case: Case) -> Iterator[CostLine]:
    """Yield query acceleration where there was some, or where it may be on and can't be read."""
    found, known = case.reading.acceleration, case.reading.warehouses
    what = case.what("query acceleration")
    if isinstance(found, Unavailable):
        shown = None if isinstance(known, Unavailable) else known.get(case.warehouse)
        if shown is None or shown.acceleration:
            yield what.unpriced(found)
        return
    own = [one for one in found if one.of == case.warehouse]
    if own:
        provenance = Provenance(
            "METERING_HISTORY", case.shared, case.reading.clock.final("METERING_HISTORY")
        )
        yield case.credits(what.category, _by_day(own, case.reading.clock.window), provenance)


def serverless(case: Case) -> CostLine:
    """Return the credits of pipes, streaming and whatever else runs in the tool's database."""
    what, found, clock = (
        case.what("pipes and serverless"),
        case.reading.serverless,
        case.reading.clock,
    )
    if isinstance(found, Unavailable):
        return what.unpriced(found)
    own = [one for one in found if one.of == case.database]
    final = clock.final("METERING_HISTORY")
    if not own and not final:
        return what.unpriced(_late("METERING_HISTORY", clock.after_hours("METERING_HISTORY")))
    parts = _by_day(own, clock.window) or {clock.window.start.date(): Decimal(0)}
    services = ", ".join(sorted({one.service for one in own})) or "none in this database"
    return priced(
        what, "credit", parts, case.prices.credit, Provenance("METERING_HISTORY", services, final)
    )


def unattributed(reading: Reading, prices: SnowflakePrices) -> Iterator[CostLine]:
    """Yield what Snowflake names neither a database nor a warehouse of, so that it is no tool's."""
    found, clock = reading.serverless, reading.clock
    if isinstance(found, Unavailable):
        return  # which each tool's own line says
    services: dict[str, list[Serverless]] = {}
    for one in found:
        if not one.of:
            services.setdefault(one.service, []).append(one)
    for service, own in services.items():
        names = ", ".join(sorted({one.name for one in own if one.name}))
        note = joined(
            "not attributed: Snowflake names no database of it, so it may be a tool's or another's",
            names and f"of {names}",
        )
        provenance = Provenance("METERING_HISTORY", note, clock.final("METERING_HISTORY"))
        what = CostKey(ALL_TOOLS, "customer", f"not attributed: {service}")
        yield priced(what, "credit", _by_day(own, clock.window), prices.credit, provenance)
    yield from _cloud_without_warehouse(reading, prices)


def _cloud_without_warehouse(reading: Reading, prices: SnowflakePrices) -> Iterator[CostLine]:
    if isinstance(reading.hours, Unavailable):
        return
    own = [hour for hour in reading.hours if hour.warehouse == NO_WAREHOUSE]
    used = metered(own, reading.clock.window, None).cloud
    if not used or not any(used.values()):
        return
    what = CostKey(ALL_TOOLS, "customer", "not attributed: cloud services without a warehouse")
    billed = None
    if not isinstance(reading.days, Unavailable):
        billed = billed_cloud(used, {day.day: day for day in reading.days})
    ready = reading.clock.after_days("METERING_DAILY_HISTORY")
    if billed is None:
        why = "METERING_DAILY_HISTORY does not say what of it is billed"
        yield what.unpriced(not_yet(why, ready) if reading.clock.now < ready else why)
        return
    note = "not attributed: whoever's statements they were, as the daily rule bills them"
    final = reading.clock.final("METERING_DAILY_HISTORY", daily=True)
    provenance = Provenance("METERING_DAILY_HISTORY", note, final)
    yield priced(what, "credit", billed, prices.credit, provenance)


def storage(case: Case) -> CostLine:
    """Return the storage of the tool's database, by the day."""
    view = "DATABASE_STORAGE_USAGE_HISTORY"
    what, found, clock = case.what("storage"), case.reading.stored, case.reading.clock
    if isinstance(found, Unavailable):
        return what.unpriced(found)
    own = {one.day: one.bytes for one in found if one.database == case.database}
    shares = {day: clock.window.share_of(whole) for day, whole in clock.window.days()}
    if missing := [day for day in shares if day not in own]:
        ready, why = (
            clock.after_days(view),
            f"{view} has no row of {case.database} for {missing[0]}",
        )
        return what.unpriced(not_yet(why, ready) if clock.now < ready else why)
    parts = {day: own[day] / TERABYTE * share for day, share in shares.items()}
    note = "average of the day, Time Travel and Fail-safe with it; a TB is 1024^4 bytes (grade K)"
    provenance = Provenance(view, note, clock.final(view, daily=True))
    return priced(what, "TB day", parts, case.prices.terabyte, provenance)


def transfer(reading: Reading, prices: SnowflakePrices) -> Iterator[CostLine]:
    """Yield what left the account, which Snowflake does not tell by tool."""
    view, found, clock = "DATA_TRANSFER_HISTORY", reading.transferred, reading.clock
    what = CostKey(ALL_TOOLS, "customer", "transfer")
    if isinstance(found, Unavailable):
        yield what.unpriced(found)
        return
    if not found and not clock.final(view):
        yield what.unpriced(_late(view, clock.after_hours(view)))
    for (source, target), size in found.items():
        where = _where(source, target)

        def price(_: date, where: str = where) -> UnitPrice | Unavailable:
            return prices.transfer(where)

        note = f"{source} to {target}: the whole account's, in the run's clock hours"
        parts = {clock.window.start.date(): size / TERABYTE}
        yield priced(what, "TB", parts, price, Provenance(view, note, clock.final(view)))


def _where(source: str, target: str) -> str:
    if source == target:
        return "same_region"
    return "other_region" if source.partition(" ")[0] == target.partition(" ")[0] else "other"


def _by_day(own: Sequence[Serverless], window: Window) -> dict[date, Decimal]:
    found: dict[date, Decimal] = {}
    for one in own:
        day = one.hour.start.date()
        found[day] = found.get(day, Decimal(0)) + one.credits * window.share_of(one.hour)
    return found


def _late(view: str, ready: datetime) -> Unavailable:
    return not_yet(f"{view} is filled up to {DELAYS[view]} h late", ready)
