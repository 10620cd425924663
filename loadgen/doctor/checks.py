"""What must hold before a run of days: pure checks, which judge facts that were read once.

A check is a function from the facts to its findings, a line each: what is wrong, and what to do.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from loadgen.config.settings import Settings
from loadgen.source.examine import Publication, SourceFacts
from loadgen.source.grant import PLUGIN
from loadgen.source.limits import too_many_users
from loadgen.source.schema import PUBLICATION, TABLES, encoding_problems
from loadgen.tools.tools_file import Tool
from loadgen.tools.warehouses import Warehouse, shared, unfair
from loadgen.workload.operations import rates_per_hour

# A write made 490 to 820 bytes of WAL between checkpoints (Postgres 18, events of 300 bytes). After
# a checkpoint the first touch of a page writes all of it, 8 KiB: at low rates most writes are that.
WAL_BYTES_A_WRITE: Final = 8192
# The runner's own slot, and two for the first copy of its tables.
_SLOTS_OF_A_RUNNER: Final = 3
_WORST_SKEW_SECONDS: Final = 1.0
_GIB: Final = 2**30


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that does not hold, with its fix."""

    check: str
    text: str


@dataclass(frozen=True, slots=True)
class Facts:
    """All that the checks judge; None where it could not be read, and `problems` say why."""

    settings: Settings
    hours: float
    users: int  # of the load: each has a connection
    tools: tuple[Tool, ...]  # all of TOOLS_FILE
    chosen: tuple[Tool, ...]  # those that are asked about
    misspelt: Mapping[str, str]
    problems: tuple[str, ...]  # of the source as a whole
    source: SourceFacts | None
    free_bytes: int | None  # of the source's disk, where it is on this machine
    taken_ports: tuple[str, ...]  # settings whose port somebody has
    warehouses: tuple[Warehouse, ...]  # of the chosen tools, where they could be read
    unread_copies: tuple[str, ...]  # why a chosen tool's Snowflake could not be read
    unread_aws: str | None  # why AWS, where it is set up, could not be read
    overspent: str | None  # that the run would cost more than BUDGET_USD, in a line


Check = Callable[[Facts], Iterator[str]]


def judge(facts: Facts) -> tuple[list[Finding], list[str]]:
    """Return the findings, and the names of the checks that were made."""
    made = [name for name, (_, needs_source) in CHECKS.items() if facts.source or not needs_source]
    found = [Finding(name, text) for name in made for text in CHECKS[name][0](facts)]
    return found, made


def _settings(facts: Facts) -> Iterator[str]:
    for name, meant in facts.misspelt.items():
        yield f".env has {name}, which is no setting: write {meant}, or remove the line"


def _source(facts: Facts) -> Iterator[str]:
    yield from facts.problems


def _slots_free(facts: Facts) -> Iterator[str]:
    source = _of(facts)
    present = {slot.name for slot in source.slots}
    lacking = [tool for tool in facts.chosen if tool.slot and tool.slot not in present]
    runners = [tool for tool in facts.chosen if tool.runner == "replication" and not tool.slot]
    needed = len(lacking) + _SLOTS_OF_A_RUNNER * len(runners)
    free = source.server.most_slots - len(source.slots)
    if needed > free:
        yield (
            f"{_names([*lacking, *runners])} need {needed} replication slots and {free} of "
            f"{source.server.most_slots} are free: drop slots that nobody reads, or raise "
            "max_replication_slots and restart Postgres"
        )


def _senders_free(facts: Facts) -> Iterator[str]:
    source = _of(facts)
    reading = {slot.name for slot in source.slots if slot.active}
    coming = [tool for tool in facts.chosen if tool.slot and tool.slot not in reading]
    runners = [tool for tool in facts.chosen if tool.runner == "replication" and not tool.slot]
    needed = len(coming) + _SLOTS_OF_A_RUNNER * len(runners)
    free = source.server.most_senders - source.server.senders
    if needed > free:
        yield (
            f"{_names([*coming, *runners])} need {needed} WAL senders and {free} of "
            f"{source.server.most_senders} are free: raise max_wal_senders and restart Postgres"
        )


def _slots_granted(facts: Facts) -> Iterator[str]:
    present = {slot.name for slot in _of(facts).slots}
    for tool in facts.chosen:
        if tool.slot and tool.slot not in present and tool.runner is None:
            yield (
                f"tool {tool.name} reads slot {tool.slot}, which is not there: "
                f"run `loadgen db grant {tool.name}`"
            )


def _orphan_slots(facts: Facts) -> Iterator[str]:
    """Find slots of no tool, and those that their tool has left behind.

    Tools that copy in batches are away between two of them, so being inactive is not enough: an
    inactive slot is left behind once it keeps half of what the watch would pause the load for.
    """
    source = _of(facts)
    ours = {read: tool.name for tool in facts.tools if (read := tool.slot_read)}
    ours |= {grant.slot: grant.tool for grant in source.grants if grant.slot}
    runners = any(tool.runner == "replication" for tool in facts.tools)
    for slot in source.slots:
        drop = f"SELECT pg_drop_replication_slot('{slot.name}')"
        keeps = f"slot {slot.name} keeps {_size(slot.retained_bytes)} of WAL"
        if slot.wal_status == "lost":
            yield (
                f"slot {slot.name} is lost, its WAL is gone: drop it ({drop}), grant anew and let "
                "the tool sync from scratch"
            )
        elif slot.name not in ours:
            if not (slot.active and (runners or slot.plugin is None)):
                yield f"{keeps} and belongs to no tool of TOOLS_FILE: {drop}, or name it there"
        elif not slot.active and slot.retained_bytes * 2 > facts.settings.max_slot_retained_bytes:
            tool = ours[slot.name]
            yield f"{keeps}, unread by {tool}: let it sync, or `loadgen db revoke {tool}`"


def _plugins(facts: Facts) -> Iterator[str]:
    source = _of(facts)
    if source.server.plugins is None:  # a version without that setting allows all
        return
    allowed = {name.strip().strip('"') for name in source.server.plugins.split(",")}
    wanted = {slot.plugin for slot in source.slots if slot.plugin}
    for plugin in sorted((wanted | {PLUGIN}) - allowed):
        yield (
            f"output plugin {plugin} is not allowed: add it to output_plugin_libraries (now "
            f"{source.server.plugins or 'empty'}) and reload Postgres"
        )


def _publications(facts: Facts) -> Iterator[str]:
    found = {publication.name: publication for publication in _of(facts).publications}
    wanted = {tool.publication: tool.name for tool in facts.chosen if tool.publication}
    for name, tool in {PUBLICATION: None, **wanted}.items():
        make = f"loadgen db grant {tool}" if tool else "loadgen seed"
        if name in found:
            yield from _coverage(found[name])
        else:
            yield f"there is no publication {name}: run `{make}`"


def _coverage(publication: Publication) -> Iterator[str]:
    name = publication.name
    for table in TABLES:
        if table not in publication.tables:
            yield (
                f"publication {name} lacks table {table}, whose rows would silently not be copied: "
                f"ALTER PUBLICATION {name} ADD TABLE {table}"
            )
    for table in publication.partial:
        yield (
            f"publication {name} carries only some rows or columns of {table}: "
            f"ALTER PUBLICATION {name} DROP TABLE {table}, then ADD TABLE {table}"
        )
    if not publication.every_change:
        yield (
            f"publication {name} leaves out inserts, updates or deletes: "
            f"ALTER PUBLICATION {name} SET (publish = 'insert, update, delete, truncate')"
        )


def _identities(facts: Facts) -> Iterator[str]:
    for table in _of(facts).unidentified:
        yield (
            f"table {table} has no replica identity, so its updates and deletes are refused: add a "
            f"primary key, or ALTER TABLE {table} REPLICA IDENTITY FULL"
        )


def _disk(facts: Facts) -> Iterator[str]:
    wal = expected_wal_bytes(facts.settings, facts.hours)
    said = (
        f"{facts.hours:g} h make about {_size(wal)} of WAL (at {_each(facts.settings):,} a write)"
    )
    keep = _of(facts).server.keep_megabytes * 2**20
    least = facts.settings.min_free_disk_bytes
    kept = min(wal, keep) if keep >= 0 else wal
    if facts.free_bytes is not None and kept > facts.free_bytes - least:
        yield (
            f"{said}; a slot that nobody reads keeps {_size(kept)}, and the source's disk has "
            f"{_size(facts.free_bytes)} free (MIN_FREE_DISK_BYTES is {_size(least)}): make room, "
            "lower the rates, or set max_slot_wal_keep_size"
        )
    if 0 <= keep < wal:
        yield (
            f"{said}, and max_slot_wal_keep_size is {_size(keep)}: a tool that is away for "
            f"{facts.hours * keep / wal:.1f} h loses its slot; raise it, or set it to -1"
        )


def expected_wal_bytes(settings: Settings, hours: float) -> int:
    """Return about how much WAL the asked rates make in `hours`; the assumption is ours."""
    writes = sum(rates_per_hour(settings).values()) * hours
    return round(writes * _each(settings))


def _each(settings: Settings) -> int:
    return WAL_BYTES_A_WRITE + settings.event_bytes


def _connections(facts: Facts) -> Iterator[str]:
    if why := too_many_users(_of(facts).limits, facts.users, beside=1):
        yield why


def _clock(facts: Facts) -> Iterator[str]:
    source = _of(facts)
    ahead = source.clock.ahead_seconds
    if abs(ahead) > _WORST_SKEW_SECONDS + source.clock.within_seconds:
        word = "ahead of" if ahead > 0 else "behind"
        yield (
            f"the source's clock is {abs(ahead):.1f} s {word} this machine's: "
            "set both by NTP (timedatectl set-ntp true)"
        )


def _encoding(facts: Facts) -> Iterator[str]:
    yield from encoding_problems(_of(facts).server.encoding)


def _ports(facts: Facts) -> Iterator[str]:
    for name in facts.taken_ports:
        port = getattr(facts.settings, name.lower())
        yield (
            f"port {port} of {facts.settings.metrics_host} is taken: stop who listens there (a "
            f"load or watch that still runs?), or set {name}"
        )


def _snowflake(facts: Facts) -> Iterator[str]:
    yield from facts.unread_copies


def _warehouses(facts: Facts) -> Iterator[str]:
    yield from shared(facts.tools, facts.settings.snowflake_warehouse)
    yield from unfair(facts.warehouses)


def _aws(facts: Facts) -> Iterator[str]:
    if facts.unread_aws:
        yield f"AWS can't be asked what it costs: {facts.unread_aws}"


def _budget(facts: Facts) -> Iterator[str]:
    if facts.overspent:
        yield (
            f"{facts.overspent}: `loadgen costs --expected` has the lines; lower the rates or the "
            "hours, or set BUDGET_USD"
        )


# Each check, and whether it needs a source that can be read.
CHECKS: Final[Mapping[str, tuple[Check, bool]]] = {
    "settings": (_settings, False),
    "source": (_source, False),
    "encoding": (_encoding, True),
    "slots": (_slots_granted, True),
    "free slots": (_slots_free, True),
    "free senders": (_senders_free, True),
    "orphan slots": (_orphan_slots, True),
    "output plugins": (_plugins, True),
    "publications": (_publications, True),
    "replica identity": (_identities, True),
    "connections": (_connections, True),
    "disk": (_disk, True),
    "clock": (_clock, True),
    "ports": (_ports, False),
    "snowflake": (_snowflake, False),
    "warehouses": (_warehouses, False),
    "aws": (_aws, False),
    "budget": (_budget, False),
}


def _of(facts: Facts) -> SourceFacts:
    if facts.source is None:
        raise ValueError("this check needs a source")
    return facts.source


def _names(tools: Sequence[Tool]) -> str:
    return ", ".join(tool.name for tool in tools)


def _size(size: Any) -> str:
    return f"{size / _GIB:,.2f} GiB" if size >= _GIB / 10 else f"{size / 2**20:,.1f} MiB"
