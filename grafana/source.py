"""Dashboard for the person who runs the database: effects of replication slots and the load."""

from grafana.dashboard import dashboard, variable
from grafana.panels import (
    GREEN,
    GREY,
    RED,
    YELLOW,
    column,
    lines,
    stat,
    states,
    steps,
    table,
)
from grafana.queries import query

_WINDOW = "$__rate_interval"
_SLOT = variable(
    "slot", "Slot", "label_values(loadgen_slot_active, slot)", "replication slots of the source"
)
_ONE = 'slot=~"$slot"'
_MB, _GB = 1e6, 1e9
# If the source answers, a missing series counts as 0; if not, the tile shows that it is unknown.
_ANSWERS = "max(loadgen_source_up == 1)"

_STATUS = " or ".join(
    [
        f"max by (slot) (4 * loadgen_slot_invalidated{{{_ONE}}})",
        *(
            f'max by (slot) ({n} * (loadgen_slot_wal_status{{{_ONE},status="{status}"}} == 1))'
            for n, status in enumerate(("reserved", "extended", "unreserved", "lost"), start=1)
        ),
    ]
)
_STATUSES = {
    "1": ("reserved", GREEN),
    "2": ("extended", YELLOW),
    "3": ("unreserved", "orange"),
    "4": ("lost", RED),
}
_OF_LIMIT = (
    f"max by (slot) (loadgen_slot_retained_bytes{{{_ONE}}})"
    " / on () group_left () max(loadgen_slot_retained_limit_bytes)"
)
_SHARE = steps((None, GREEN), (0.1, YELLOW), (0.5, RED))
_ROOM = steps((None, RED), (100 * _MB, YELLOW), (_GB, GREEN))
_TIME_LEFT = steps((None, RED), (3600, YELLOW), (6 * 3600, GREEN))

_VERDICT = [
    stat(
        "Source",
        "Does the source answer the watch?",
        "min(loadgen_source_up)",
        "short",
        nothing="no watch",
        mappings={"1": ("up", GREEN), "0": ("down", RED)},
    ),
    stat(
        "Worst slot",
        "reserved: normal; extended: it retains more than max_wal_size; unreserved: it may be "
        "lost at the next checkpoint; lost: its tool has to copy everything again.",
        f"max({_STATUS}) or on() 0 * {_ANSWERS}",
        "short",
        mappings=_STATUSES | {"0": ("no slot", GREY)},
    ),
    stat(
        "Unread slots",
        "Each retains WAL until it is read or dropped. Tools that sync at intervals leave their "
        "slot without a reader between two syncs.",
        f"count(loadgen_slot_active{{{_ONE}}} == 0) or on() 0 * {_ANSWERS}",
        "short",
        steps((None, GREEN), (1, YELLOW)),
    ),
    stat(
        "Retained, of limit",
        "WAL that the server retains on its disk for the slot that is furthest behind, as a share "
        "of MAX_SLOT_RETAINED_BYTES, at which the watch pauses the load.",
        f"max({_OF_LIMIT}) or on() 0 * {_ANSWERS}",
        "percentunit",
        _SHARE,
    ),
    stat(
        "Least room left",
        "WAL that can still be written before a slot may be lost, if the server has a limit "
        "(max_slot_wal_keep_size).",
        f"min(loadgen_slot_safe_wal_bytes{{{_ONE}}}) or on() (-1 * {_ANSWERS}"
        f' unless on() loadgen_slot_wal_status{{{_ONE},status="lost"}} == 1)',
        "bytes",
        _ROOM,
        mappings={"-1": ("no limit", GREY)},
    ),
    stat(
        "WAL per second",
        "WAL written by the whole server, averaged over five minutes.",
        "sum(rate(loadgen_source_wal_bytes_total[5m]))",
        "Bps",
    ),
    stat(
        "WAL per write",
        "WAL of the whole server per committed write of the load, averaged over five minutes.",
        "max(loadgen:wal_bytes_per_write)",
        "bytes",
    ),
    stat(
        "Oldest transaction",
        "An open transaction prevents vacuum from removing dead rows, and slots from advancing.",
        "max(loadgen_source_oldest_transaction_seconds)",
        "s",
        steps((None, GREEN), (60, YELLOW), (600, RED)),
    ),
]

_SLOTS = [
    table(
        "Slots now",
        "Status of each slot, whether it has a reader, the WAL it retains, how far its reader is "
        "behind, the room left before it may be lost, and the time until then, without a reader "
        "and at the WAL rate of the last five minutes.",
        "slot",
        {
            "status": column(_STATUS, "short", mappings=_STATUSES),
            "read": column(
                f"max by (slot) (loadgen_slot_active{{{_ONE}}})",
                "short",
                mappings={"1": ("yes", GREEN), "0": ("no", YELLOW)},
            ),
            "retained": column(f"max by (slot) (loadgen_slot_retained_bytes{{{_ONE}}})", "bytes"),
            "of limit": column(_OF_LIMIT, "percentunit", _SHARE),
            "behind": column(
                f"max by (slot) (loadgen_slot_confirmed_lag_bytes{{{_ONE}}})", "bytes"
            ),
            "room left": column(
                f"max by (slot) (loadgen_slot_safe_wal_bytes{{{_ONE}}})", "bytes", _ROOM
            ),
            "lost in": column(
                f"max by (slot) (loadgen_slot_safe_wal_bytes{{{_ONE}}})"
                " / on() group_left() (sum(rate(loadgen_source_wal_bytes_total[5m])) > 0)",
                "s",
                _TIME_LEFT,
            ),
            "unread for": column(f"max by (slot) (loadgen_slot_inactive_seconds{{{_ONE}}})", "s"),
        },
    ),
    lines(
        "WAL retained by each slot",
        "If a slot has no reader, or a slow one, this rises until the disk is full. The watch "
        "pauses the load at the limit, MAX_SLOT_RETAINED_BYTES.",
        "bytes",
        query(f"max by (slot) (loadgen_slot_retained_bytes{{{_ONE}}})", "{{slot}}"),
        query("max(loadgen_slot_retained_limit_bytes)", "limit"),
        dashed="limit",
        log=True,
    ),
    lines(
        "How far each reader is behind",
        "WAL that was written and not yet confirmed by the slot's reader.",
        "bytes",
        query(f"max by (slot) (loadgen_slot_confirmed_lag_bytes{{{_ONE}}})", "{{slot}}"),
    ),
    states(
        "Slot readers",
        "Does each slot have a reader?",
        query(f"max by (slot) (loadgen_slot_active{{{_ONE}}})", "{{slot}}"),
        {"1": ("read", GREEN), "0": ("unread", YELLOW)},
    ),
    states(
        "Status of each slot",
        "reserved: normal; extended: it retains more than max_wal_size; unreserved: it may be "
        "lost at the next checkpoint; lost: its tool has to copy everything again.",
        query(_STATUS, "{{slot}}"),
        _STATUSES,
    ),
]

_WAL = [
    lines(
        "WAL written",
        "By the whole server, per second.",
        "Bps",
        query(f"sum(rate(loadgen_source_wal_bytes_total[{_WINDOW}]))", "WAL"),
        width=6,
    ),
    lines(
        "WAL per committed write",
        "WAL of the whole server per committed write of the load, averaged over five minutes.",
        "bytes",
        query("max(loadgen:wal_bytes_per_write)", "bytes a write"),
        width=6,
    ),
    lines(
        "Checkpoints and senders",
        "Checkpoints per hour: each makes the next writes more expensive. Senders are the "
        "processes that send WAL to readers.",
        "short",
        query("sum(rate(loadgen_source_checkpoints_total[15m])) * 3600", "checkpoints an hour"),
        query("max(loadgen_source_walsenders)", "senders"),
        width=6,
    ),
    lines(
        "Free disk",
        "Free space on the disk of the server's data, if it runs on this machine. The watch pauses "
        "the load below the limit, MIN_FREE_DISK_BYTES.",
        "bytes",
        query("min(loadgen_source_free_disk_bytes)", "free"),
        query("max(loadgen_source_free_disk_limit_bytes)", "limit"),
        width=6,
        dashed="limit",
    ),
]

_TABLES = [
    lines(
        "Rows",
        "Rows of each table, estimated by the server.",
        "short",
        query("max by (table) (loadgen_source_rows)", "{{table}}"),
        width=8,
    ),
    lines(
        "Dead rows",
        "Rows that vacuum has not removed yet. A slot or transaction with an old snapshot prevents "
        "that.",
        "short",
        query("max by (table) (loadgen_source_dead_rows)", "{{table}}"),
        width=8,
    ),
    lines(
        "Size",
        "Each table with its indexes, and the whole database.",
        "bytes",
        query("max(loadgen_source_database_bytes)", "database"),
        query("max by (table) (loadgen_source_table_bytes)", "{{table}}"),
        width=8,
    ),
    lines(
        "Sessions",
        "Connections to the database, including the load's.",
        "short",
        query("max(loadgen_source_connections)", "sessions"),
        width=8,
    ),
    lines(
        "Oldest open transaction",
        "Age of the oldest open transaction.",
        "s",
        query("max(loadgen_source_oldest_transaction_seconds)", "age"),
        width=8,
        limit=600,
    ),
    lines(
        "Oldest snapshot",
        "How many transactions ago the oldest snapshot was taken. Vacuum removes no newer dead "
        "rows. Slots have snapshots too.",
        "short",
        query("max(loadgen_source_xmin_age)", "transactions"),
        width=8,
    ),
]

SOURCE_AND_SLOTS = dashboard(
    "source",
    "How do replication slots and the load affect the database?",
    [_SLOT],
    [
        ("", _VERDICT),
        ("Replication slots", _SLOTS),
        ("WAL", _WAL),
        ("Tables and sessions", _TABLES),
    ],
)
