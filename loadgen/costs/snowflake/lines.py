"""The cost lines of one tool's warehouse and database, and of the rest of the account. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final

from loadgen.costs.billing_window import Window
from loadgen.costs.lines import (
    ALL_TOOLS,
    CostKey,
    Provenance,
    QuantityByDay,
    Unavailable,
    UnitPrice,
    cost_line,
    join_notes,
    not_yet,
    rounded,
)
from loadgen.costs.snowflake.account_usage import CLOUD_AND_ATTRIBUTED, NO_WAREHOUSE, AccountUsage
from loadgen.costs.snowflake.credits import WarehouseCredits, billed_cloud, metered, scaled
from loadgen.costs.snowflake.prices import TERABYTE, SnowflakePrices
from loadgen.costs.snowflake.views import ServiceCredits
from loadgen.record.costs import Basis, CostLine
from loadgen.tools.tools_file import Tool

_ATTRIBUTION: Final = "QUERY_ATTRIBUTION_HISTORY"
_METERING: Final = "METERING_HISTORY"
_DAILY: Final = "METERING_DAILY_HISTORY"
_SOURCES: Final = {
    "metered": "WAREHOUSE_METERING_HISTORY",
    "live": "INFORMATION_SCHEMA's WAREHOUSE_METERING_HISTORY",
    "model": "uptime model",
}


@dataclass(frozen=True, slots=True)
class BilledTool:
    """One tool, its share of its warehouse, and the figures to bill it by."""

    tool: Tool
    usage: AccountUsage
    prices: SnowflakePrices
    share: Decimal = Decimal(1)
    share_note: str = ""

    @property
    def warehouse(self) -> str:
        """The tool's warehouse as Snowflake writes it."""
        return str(self.tool.warehouse).upper()

    @property
    def database(self) -> str:
        """The tool's database as Snowflake writes it."""
        return str(self.tool.database).upper()

    def key(self, category: str) -> CostKey:
        """Return the key of a line; the customer pays Snowflake's bill."""
        return CostKey(self.tool.name, "customer", category)

    def credits(self, category: str, by_day: QuantityByDay, provenance: Provenance) -> CostLine:
        """Return a line of the tool's share of credits."""
        own = scaled(by_day, self.share)
        return cost_line(self.key(category), "credit", own, self.prices.credit, provenance)


def compute(billed: BilledTool, used: WarehouseCredits) -> Iterator[CostLine]:
    """Yield the warehouse's credits: work, other users' work and idle time, or all in one line."""
    source = f"{_SOURCES[used.method]} of "
    source += str(billed.usage.settings_of(billed.warehouse) or billed.warehouse)
    final = used.method == "metered" and billed.usage.clock.is_filled(CLOUD_AND_ATTRIBUTED)
    other_users = OtherUsers.of(billed.tool, billed.usage)
    others_share = Decimal(0) if billed.share_note else other_users.share_of_work
    basis: Basis = "estimate" if used.method == "model" else "measured"

    def provenance(note: str = "") -> Provenance:
        notes = join_notes(billed.share_note, *used.notes, note)
        return Provenance(source, notes, final, basis)

    work, idle = used.work, used.idle
    if work is None or idle is None:
        yield billed.credits("compute", used.compute, provenance(other_users.note))
        return
    own = provenance("" if others_share else other_users.note)
    yield billed.credits("compute: work", scaled(work, 1 - others_share), own)
    if others_share:
        others_work = scaled(work, others_share)
        yield billed.credits("compute: other users", others_work, provenance(other_users.note))
    yield billed.credits("compute: idle", idle, provenance())


def cloud_services(billed: BilledTool, used: WarehouseCredits) -> CostLine:
    """Return the cloud services that are billed by the daily rule."""
    key, days, clock = billed.key("cloud services"), billed.usage.days, billed.usage.clock
    if isinstance(days, Unavailable):
        return key.not_priced(days)
    by_rule = None if used.cloud is None else billed_cloud(used.cloud, days)
    if used.cloud is None or by_rule is None:
        if clock.is_filled(_DAILY):
            return key.not_priced(
                "Snowflake has no figure for the warehouse's or the account's cloud services"
            )
        late = f"{_DAILY} and the warehouse's hours are not filled yet"
        return key.not_priced(not_yet(late, clock.ready_at(_DAILY)))
    before_rule = rounded(sum(used.cloud.values(), Decimal(0)) * billed.share).normalize()
    note = join_notes(
        billed.share_note,
        f"{before_rule:f} credits before the daily rule: each day a tenth of the account's "
        "warehouse credits is free, and the rest is split by use",
    )
    final = clock.is_filled(_DAILY)
    return billed.credits(key.category, by_rule, Provenance(_DAILY, note, final))


def acceleration(billed: BilledTool) -> Iterator[CostLine]:
    """Yield query acceleration if there was some, or if it may be on and can't be read."""
    services, clock = billed.usage.acceleration, billed.usage.clock
    key = billed.key("query acceleration")
    if isinstance(services, Unavailable):
        settings = billed.usage.settings_of(billed.warehouse)
        if settings is None or settings.acceleration:
            yield key.not_priced(services)
        return
    own = [service for service in services if service.owner == billed.warehouse]
    if own:
        provenance = Provenance(_METERING, billed.share_note, clock.is_filled(_METERING))
        yield billed.credits(key.category, _credits_by_day(own, clock.window), provenance)


def serverless(billed: BilledTool) -> CostLine:
    """Return the credits of pipes, streaming and other services in the tool's database."""
    services, clock = billed.usage.serverless, billed.usage.clock
    key = billed.key("pipes and serverless")
    if isinstance(services, Unavailable):
        return key.not_priced(services)
    own = [service for service in services if service.owner == billed.database]
    final = clock.is_filled(_METERING)
    if not own and not final:
        return key.not_priced(clock.missing(_METERING))
    by_day = _credits_by_day(own, clock.window) or {clock.window.start.date(): Decimal(0)}
    names = ", ".join(sorted({service.service for service in own})) or "none in this database"
    provenance = Provenance(_METERING, names, final)
    return cost_line(key, "credit", by_day, billed.prices.credit, provenance)


def storage(billed: BilledTool) -> CostLine:
    """Return the storage of the tool's database, by the day."""
    view = "DATABASE_STORAGE_USAGE_HISTORY"
    key, databases, clock = billed.key("storage"), billed.usage.storage, billed.usage.clock
    if isinstance(databases, Unavailable):
        return key.not_priced(databases)
    sizes = {row.day: row.bytes for row in databases if row.database == billed.database}
    shares = {day: clock.window.share_of(whole) for day, whole in clock.window.days()}
    if missing := [day for day in shares if day not in sizes]:
        reason = f"{view} has no row of {billed.database} for {missing[0]}"
        return key.not_priced(clock.missing(view, reason))
    by_day = {day: sizes[day] / TERABYTE * share for day, share in shares.items()}
    note = "average of the day, with Time Travel and Fail-safe; a TB is 1024^4 bytes (grade K)"
    provenance = Provenance(view, note, clock.is_filled(view))
    return cost_line(key, "TB day", by_day, billed.prices.terabyte, provenance)


def unattributed(usage: AccountUsage, prices: SnowflakePrices) -> Iterator[CostLine]:
    """Yield services for which Snowflake names neither a database nor a warehouse."""
    clock = usage.clock
    if isinstance(usage.serverless, Unavailable):
        return  # each tool's own line has the reason
    services: dict[str, list[ServiceCredits]] = {}
    for service in usage.serverless:
        if not service.owner:
            services.setdefault(service.service, []).append(service)
    for name, own in services.items():
        entities = ", ".join(sorted({service.name for service in own if service.name}))
        note = join_notes(
            "not attributed: Snowflake names no database, so it may belong to a tool or not",
            entities and f"of {entities}",
        )
        provenance = Provenance(_METERING, note, clock.is_filled(_METERING))
        key = CostKey(ALL_TOOLS, "customer", f"not attributed: {name}")
        by_day = _credits_by_day(own, clock.window)
        yield cost_line(key, "credit", by_day, prices.credit, provenance)
    yield from _cloud_without_warehouse(usage, prices)


def _cloud_without_warehouse(usage: AccountUsage, prices: SnowflakePrices) -> Iterator[CostLine]:
    if isinstance(usage.hours, Unavailable):
        return
    clock = usage.clock
    hours = [hour for hour in usage.hours if hour.warehouse == NO_WAREHOUSE]
    used = metered(hours, clock.window, None).cloud
    if not used or not any(used.values()):
        return
    key = CostKey(ALL_TOOLS, "customer", "not attributed: cloud services without a warehouse")
    days = usage.days
    by_rule = None if isinstance(days, Unavailable) else billed_cloud(used, days)
    if by_rule is None:
        yield key.not_priced(clock.missing(_DAILY, f"{_DAILY} does not show the billed part"))
        return
    note = "not attributed: statements of any user, as the daily rule bills them"
    provenance = Provenance(_DAILY, note, clock.is_filled(_DAILY))
    yield cost_line(key, "credit", by_rule, prices.credit, provenance)


def transfer(usage: AccountUsage, prices: SnowflakePrices) -> Iterator[CostLine]:
    """Yield the bytes that left the account, which Snowflake does not show by tool."""
    view, transfers, clock = "DATA_TRANSFER_HISTORY", usage.transfers, usage.clock
    key = CostKey(ALL_TOOLS, "customer", "transfer")
    if isinstance(transfers, Unavailable):
        yield key.not_priced(transfers)
        return
    if not transfers and not clock.is_filled(view):
        yield key.not_priced(clock.missing(view))
    for (source, target), size in transfers.items():
        distance = "other_region" if source.split(" ")[0] == target.split(" ")[0] else "other"
        price = prices.transfer("same_region" if source == target else distance)

        def price_of(_: date, price: UnitPrice | Unavailable = price) -> UnitPrice | Unavailable:
            return price

        note = f"{source} to {target}: the whole account's, in the run's clock hours"
        provenance = Provenance(view, note, clock.is_filled(view))
        by_day = {clock.window.start.date(): size / TERABYTE}
        yield cost_line(key, "TB", by_day, price_of, provenance)


def _credits_by_day(services: Sequence[ServiceCredits], window: Window) -> dict[date, Decimal]:
    by_day: dict[date, Decimal] = {}
    for service in services:
        day = service.hour.start.date()
        used = service.credits * window.share_of(service.hour)
        by_day[day] = by_day.get(day, Decimal(0)) + used
    return by_day


@dataclass(frozen=True, slots=True)
class OtherUsers:
    """Statements of other users on a tool's warehouse, and their share of the work."""

    note: str
    share_of_work: Decimal = Decimal(0)

    @classmethod
    def of(cls, tool: Tool, usage: AccountUsage) -> "OtherUsers":
        """Return a tool's other users; if the statements can't be read, the note has the reason."""
        statements = usage.statements_of(str(tool.warehouse).upper())
        if isinstance(statements, Unavailable):
            return cls(f"its users are unknown: {statements.reason}")
        counts: dict[str, int] = {}
        for statement in statements:
            if usage.clock.overlaps(statement.span):
                counts[statement.actor] = counts.get(statement.actor, 0) + 1
        if tool.user is None:
            if len(counts) < 2:
                return cls("")
            return cls(f"its users: {_listed(counts)}; tools.toml does not name the tool's user")
        own = tool.user.upper()
        others = {user: number for user, number in counts.items() if user.upper() != own}
        if not others:
            return cls("")
        note = f"statements of other users on its warehouse: {_listed(others)}"
        share = _share_of_others(tool, usage)
        if isinstance(share, Unavailable):
            return cls(f"{note}, whose part is {share.reason}")
        return cls(note, share)


def share_of_warehouse(
    tool: Tool, sharing: Sequence[Tool], usage: AccountUsage
) -> Decimal | Unavailable:
    """Return the tool's share of a warehouse that several tools use, by attributed credits."""
    if isinstance(usage.attributed, Unavailable):
        return usage.attributed
    users = {other.name: (other.user or "").upper() for other in sharing}
    if "" in users.values() or len(set(users.values())) < len(users):
        return Unavailable("to split it, give each tool its own user in tools.toml")
    if not usage.clock.is_filled(_ATTRIBUTION):
        return not_yet("it can't be split yet", usage.clock.ready_at(_ATTRIBUTION))
    used = _credits_by_user(tool, usage.attributed)
    together = sum((used.get(user, Decimal(0)) for user in users.values()), Decimal(0))
    if not used.get(users[tool.name]) and (reason := without_attribution(tool, usage)):
        return Unavailable(reason)
    if not together:
        return Unavailable(f"{_ATTRIBUTION} has no credits to split it by")
    return used.get(users[tool.name], Decimal(0)) / together


def without_attribution(tool: Tool, usage: AccountUsage) -> str:
    """Return why Snowflake attributes no credits to a tool that used its warehouse, else "".

    It attributes no credits to statements of less than about 100 ms.
    """
    user, attributed = str(tool.user).upper(), usage.attributed
    statements = usage.statements_of(str(tool.warehouse).upper())
    if not isinstance(attributed, Unavailable) and _credits_by_user(tool, attributed).get(user):
        return ""
    if isinstance(statements, Unavailable):
        return f"not attributed: {_ATTRIBUTION} lacks {user}, whose statements can't be read"
    own = [
        statement
        for statement in statements
        if statement.actor.upper() == user and usage.clock.overlaps(statement.span)
    ]
    if not own:
        return ""
    return (
        f"not attributed: {_ATTRIBUTION} has none of the {len(own)} statement(s) of {user}; it "
        "leaves out those under about 100 ms, which wake the warehouse all the same"
    )


def _share_of_others(tool: Tool, usage: AccountUsage) -> Decimal | Unavailable:
    unknown = Unavailable(f"unknown until {_ATTRIBUTION} is filled")
    if isinstance(usage.attributed, Unavailable):
        return unknown
    if reason := without_attribution(tool, usage):
        return Unavailable(reason)
    used = _credits_by_user(tool, usage.attributed)
    together = sum(used.values(), Decimal(0))
    if not together:
        return unknown
    return 1 - used.get(str(tool.user).upper(), Decimal(0)) / together


def _credits_by_user(
    tool: Tool, attributed: Mapping[tuple[str, str], Decimal]
) -> dict[str, Decimal]:
    own = str(tool.warehouse).upper()
    return {
        user.upper(): used for (warehouse, user), used in attributed.items() if warehouse == own
    }


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{number} by {user}" for user, number in sorted(counts.items()))
