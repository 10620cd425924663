"""Checks before a run of days: pure functions from facts to findings.

Each finding is a line that names a fault and its remedy.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from loadgen.config.settings import Settings
from loadgen.source.examine import Publication, SourceFacts
from loadgen.source.grant import PLUGIN
from loadgen.source.limits import too_many_users
from loadgen.source.schema import PUBLICATION, encoding_problems
from loadgen.text import size
from loadgen.tools.tools_file import Tool
from loadgen.tools.warehouses import ToolWarehouse, shared_warehouses, unequal_warehouses
from loadgen.workload.operations import operations_of, rates_per_hour

# Between checkpoints a write made 490 to 820 bytes of WAL (Postgres 18, events of 300 bytes). The
# first write to a page after a checkpoint logs the whole page of 8 KiB; at low rates most do.
WAL_BYTES_A_WRITE: Final = 8192
# The subscription's slot, and two for the first copy of its tables.
_SLOTS_OF_A_RUNNER: Final = 3
_WORST_SKEW_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class DoctorFinding:
    """One failed check, with its fix."""

    check: str
    text: str


@dataclass(frozen=True, slots=True)
class DoctorFacts:
    """The input of all checks; a fact that could not be read is None, with a line on it."""

    settings: Settings
    hours: float
    users: int  # of the load: each has a connection
    tools: tuple[Tool, ...]  # all of TOOLS_FILE
    chosen: tuple[Tool, ...]  # those to check
    changed_tables: frozenset[str]  # whose rows the workload updates or deletes
    misspelt: Mapping[str, str]
    problems: tuple[str, ...]  # of the source as a whole
    source: SourceFacts | None
    free_bytes: int | None  # on the source's disk, if it is on this machine
    taken_ports: tuple[str, ...]  # settings whose port is in use
    warehouses: tuple[ToolWarehouse, ...]  # of the chosen tools
    unread_copies: tuple[str, ...]  # lines on copies in Snowflake that could not be read
    unread_aws: str | None  # why AWS could not be read, if it is set up
    overspent: str | None  # a line, if the run may cost more than BUDGET_USD


_Check = Callable[[DoctorFacts], Iterable[str]]


def run_checks(facts: DoctorFacts) -> tuple[list[DoctorFinding], list[str]]:
    """Return the findings, and the names of the checks that ran."""
    names = [name for name, (_, needs_source) in CHECKS.items() if facts.source or not needs_source]
    findings = [DoctorFinding(name, text) for name in names for text in CHECKS[name][0](facts)]
    return findings, names


def _settings(facts: DoctorFacts) -> Iterator[str]:
    for name, setting in facts.misspelt.items():
        yield f".env has {name}, which is no setting: write {setting}, or remove the line"


def _slots_free(facts: DoctorFacts) -> Iterator[str]:
    source = _source_of(facts)
    present = {slot.name for slot in source.slots}
    lacking = [tool for tool in facts.chosen if tool.slot and tool.slot not in present]
    runners = [tool for tool in facts.chosen if tool.slot_read and not tool.slot]
    tables_too = sum(tool.runner == "replication" for tool in runners)
    needed = len(lacking) + len(runners) + (_SLOTS_OF_A_RUNNER - 1) * tables_too
    free = source.server.most_slots - len(source.slots)
    if needed > free:
        yield (
            f"{_names([*lacking, *runners])} need {needed} replication slots and {free} of "
            f"{source.server.most_slots} are free: drop unused slots, or raise "
            "max_replication_slots and restart Postgres"
        )


def _senders_free(facts: DoctorFacts) -> Iterator[str]:
    source = _source_of(facts)
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


def _slots_granted(facts: DoctorFacts) -> Iterator[str]:
    present = {slot.name for slot in _source_of(facts).slots}
    for tool in facts.chosen:
        if tool.slot and tool.slot not in present and tool.runner is None:
            yield (
                f"tool {tool.name} reads slot {tool.slot}, which does not exist: "
                f"run `loadgen db grant {tool.name}`"
            )


def _orphan_slots(facts: DoctorFacts) -> Iterator[str]:
    """Find slots of no tool, and slots that their tool no longer reads.

    A tool that copies in batches is disconnected between two of them. So an inactive slot counts
    only once it retains half of the WAL at which the watch pauses the load.
    """
    source = _source_of(facts)
    ours = {read: tool.name for tool in facts.tools if (read := tool.slot_read)}
    ours |= {grant.slot: grant.tool for grant in source.grants if grant.slot}
    runners = any(tool.runner == "replication" for tool in facts.tools)
    for slot in source.slots:
        drop = f"SELECT pg_drop_replication_slot('{slot.name}')"
        retains = f"slot {slot.name} retains {size(slot.retained_bytes)} of WAL"
        if slot.wal_status == "lost":
            yield (
                f"slot {slot.name} is lost, its WAL is gone: drop it ({drop}), grant again and let "
                "the tool sync from scratch"
            )
        elif slot.name not in ours:
            if not (slot.active and (runners or slot.plugin is None)):
                yield f"{retains} and belongs to no tool of TOOLS_FILE: {drop}, or name it there"
        elif not slot.active and slot.retained_bytes * 2 > facts.settings.max_slot_retained_bytes:
            tool = ours[slot.name]
            yield f"{retains}, unread by {tool}: let it sync, or `loadgen db revoke {tool}`"


def _plugins(facts: DoctorFacts) -> Iterator[str]:
    source = _source_of(facts)
    if source.server.plugins is None:  # versions without that setting allow all
        return
    allowed = {name.strip().strip('"') for name in source.server.plugins.split(",")}
    wanted = {slot.plugin for slot in source.slots if slot.plugin}
    for plugin in sorted((wanted | {PLUGIN}) - allowed):
        yield (
            f"output plugin {plugin} is not allowed: add it to output_plugin_libraries (now "
            f"{source.server.plugins or 'empty'}) and reload Postgres"
        )


def _publications(facts: DoctorFacts) -> Iterator[str]:
    by_name = {publication.name: publication for publication in _source_of(facts).publications}
    tools = {tool.publication: tool.name for tool in facts.chosen if tool.publication}
    for name, tool in {PUBLICATION: None, **tools}.items():
        if name in by_name:
            yield from _coverage(by_name[name], _source_of(facts).tables)
        else:
            command = f"loadgen db grant {tool}" if tool else "loadgen seed"
            yield f"there is no publication {name}: run `{command}`"


def _coverage(publication: Publication, tables: Sequence[str]) -> Iterator[str]:
    name = publication.name
    for table in tables:
        if table not in publication.tables:
            yield (
                f"publication {name} lacks table {table}, so its rows would not be copied: "
                f"ALTER PUBLICATION {name} ADD TABLE {table}"
            )
    for table in publication.partial:
        yield (
            f"publication {name} carries only some rows or columns of {table}: "
            f"ALTER PUBLICATION {name} DROP TABLE {table}, then ADD TABLE {table}"
        )
    if publication.split:
        yield (
            f"publication {name} carries partitions of {', '.join(publication.split)} under their "
            f"own names: ALTER PUBLICATION {name} SET (publish_via_partition_root = true)"
        )
    if not publication.every_change:
        yield (
            f"publication {name} leaves out inserts, updates or deletes: "
            f"ALTER PUBLICATION {name} SET (publish = 'insert, update, delete, truncate')"
        )


def _identities(facts: DoctorFacts) -> Iterator[str]:
    for table in sorted(facts.changed_tables.intersection(_source_of(facts).unidentified)):
        yield (
            f"table {table} has no replica identity, so its updates and deletes are refused: add a "
            f"primary key, or ALTER TABLE {table} REPLICA IDENTITY FULL"
        )


def _disk(facts: DoctorFacts) -> Iterator[str]:
    wal = expected_wal_bytes(facts.settings, facts.hours)
    estimate = (
        f"{facts.hours:g} h make about {size(wal)} of WAL "
        f"(at {_wal_bytes_per_write(facts.settings):,} bytes a write)"
    )
    keep = _source_of(facts).server.keep_megabytes * 2**20
    least = facts.settings.min_free_disk_bytes
    retained = min(wal, keep) if keep >= 0 else wal
    if facts.free_bytes is not None and retained > facts.free_bytes - least:
        yield (
            f"{estimate}; an unread slot retains {size(retained)}, and the source's disk has "
            f"{size(facts.free_bytes)} free (MIN_FREE_DISK_BYTES is {size(least)}): free space, "
            "lower the rates, or set max_slot_wal_keep_size"
        )
    if 0 <= keep < wal:
        yield (
            f"{estimate}, and max_slot_wal_keep_size is {size(keep)}: a tool that is away for "
            f"{facts.hours * keep / wal:.1f} h loses its slot; raise it, or set it to -1"
        )


def expected_wal_bytes(settings: Settings, hours: float) -> int:
    """Return about how many bytes of WAL the configured rates make in `hours`."""
    writes = sum(rates_per_hour(settings, operations_of(settings)).values()) * hours
    return round(writes * _wal_bytes_per_write(settings))


def _wal_bytes_per_write(settings: Settings) -> int:
    return WAL_BYTES_A_WRITE + settings.event_bytes


def _connections(facts: DoctorFacts) -> Iterator[str]:
    if problem := too_many_users(_source_of(facts).limits, facts.users, beside=1):
        yield problem


def _clock(facts: DoctorFacts) -> Iterator[str]:
    source = _source_of(facts)
    ahead = source.clock.ahead_seconds
    if abs(ahead) > _WORST_SKEW_SECONDS + source.clock.within_seconds:
        direction = "ahead of" if ahead > 0 else "behind"
        yield (
            f"the source's clock is {abs(ahead):.1f} s {direction} this machine's: "
            "set both by NTP (timedatectl set-ntp true)"
        )


def _ports(facts: DoctorFacts) -> Iterator[str]:
    for name in facts.taken_ports:
        port = getattr(facts.settings, name.lower())
        yield (
            f"port {port} of {facts.settings.metrics_host} is taken: stop the process that listens "
            f"there (a load or watch?), or set {name}"
        )


def _warehouses(facts: DoctorFacts) -> Iterator[str]:
    yield from shared_warehouses(facts.tools, facts.settings.snowflake_warehouse)
    yield from unequal_warehouses(facts.warehouses)


def _aws(facts: DoctorFacts) -> Iterator[str]:
    if facts.unread_aws:
        yield f"AWS costs can't be read: {facts.unread_aws}"


def _budget(facts: DoctorFacts) -> Iterator[str]:
    if facts.overspent:
        yield (
            f"{facts.overspent}: `loadgen costs --expected` has the lines; lower the rates or the "
            "hours, or set BUDGET_USD"
        )


# Each check, and whether it needs a source that answers.
CHECKS: Final[Mapping[str, tuple[_Check, bool]]] = {
    "settings": (_settings, False),
    "source": (lambda facts: facts.problems, False),
    "encoding": (lambda facts: encoding_problems(_source_of(facts).server.encoding), True),
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
    "snowflake": (lambda facts: facts.unread_copies, False),
    "warehouses": (_warehouses, False),
    "aws": (_aws, False),
    "budget": (_budget, False),
}


def _source_of(facts: DoctorFacts) -> SourceFacts:
    if facts.source is None:
        raise ValueError("this check needs a source")
    return facts.source


def _names(tools: Sequence[Tool]) -> str:
    return ", ".join(tool.name for tool in tools)
