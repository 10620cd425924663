"""For the one who keeps the database: what the replication slots, and the load, do to it."""

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
# Where the source answers, what there is none of is 0; else nothing is known, and a tile says so.
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
_KEPT = steps((None, GREEN), (_GB, YELLOW), (5 * _GB, RED))
_ROOM = steps((None, RED), (100 * _MB, YELLOW), (_GB, GREEN))
_TIME_LEFT = steps((None, RED), (3600, YELLOW), (6 * 3600, GREEN))

_VERDICT = [
    stat(
        "Source",
        "Whether the source answers the watch.",
        "min(loadgen_source_up)",
        "short",
        nothing="no watch",
        mappings={"1": ("up", GREEN), "0": ("away", RED)},
    ),
    stat(
        "Worst slot",
        "reserved: all is well; extended: it keeps more than max_wal_size; unreserved: it may be "
        "lost at the next checkpoint; lost: its tool has to sync from scratch.",
        f"max({_STATUS}) or on() 0 * {_ANSWERS}",
        "short",
        mappings=_STATUSES | {"0": ("no slot", GREY)},
    ),
    stat(
        "Slots nobody reads",
        "Slots without a reader: each keeps WAL until somebody reads it, or drops it. Tools that "
        "sync now and then leave theirs between two syncs.",
        f"count(loadgen_slot_active{{{_ONE}}} == 0) or on() 0 * {_ANSWERS}",
        "short",
        steps((None, GREEN), (1, YELLOW)),
    ),
    stat(
        "Most WAL kept",
        "WAL that the server keeps on its disk for the slot that is furthest behind.",
        f"max(loadgen_slot_retained_bytes{{{_ONE}}}) or on() 0 * {_ANSWERS}",
        "bytes",
        _KEPT,
    ),
    stat(
        "Least room left",
        "WAL that may still be written until a slot may be lost, where the server has a limit "
        "(max_slot_wal_keep_size).",
        f"min(loadgen_slot_safe_wal_bytes{{{_ONE}}}) or on() (-1 * {_ANSWERS}"
        f' unless on() loadgen_slot_wal_status{{{_ONE},status="lost"}} == 1)',
        "bytes",
        _ROOM,
        mappings={"-1": ("no limit", GREY)},
    ),
    stat(
        "WAL a second",
        "WAL written by the whole server, over five minutes.",
        "sum(rate(loadgen_source_wal_bytes_total[5m]))",
        "Bps",
    ),
    stat(
        "WAL a write",
        "WAL per committed write of the load, over five minutes. It holds what else the server "
        "does.",
        "max(loadgen:wal_bytes_per_write)",
        "bytes",
    ),
    stat(
        "Oldest transaction",
        "A transaction that stays open keeps dead rows from being removed, and slots from "
        "advancing.",
        "max(loadgen_source_oldest_transaction_seconds)",
        "s",
        steps((None, GREEN), (60, YELLOW), (600, RED)),
    ),
]

_SLOTS = [
    table(
        "Slots now",
        "Each slot as the server shows it: what it says of it, whether somebody reads it, what it "
        "keeps, how far its reader is behind, what room is left until it may be lost, and when "
        "that is if nobody reads it and WAL is written as fast as in the last five minutes.",
        "slot",
        {
            "status": column(_STATUS, "short", mappings=_STATUSES),
            "read": column(
                f"max by (slot) (loadgen_slot_active{{{_ONE}}})",
                "short",
                mappings={"1": ("yes", GREEN), "0": ("no", YELLOW)},
            ),
            "kept": column(
                f"max by (slot) (loadgen_slot_retained_bytes{{{_ONE}}})", "bytes", _KEPT
            ),
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
        "WAL kept for each slot",
        "A slot that nobody reads, or too slowly, makes this rise until the disk is full. The "
        "watch pauses the load above MAX_SLOT_RETAINED_BYTES.",
        "bytes",
        query(f"max by (slot) (loadgen_slot_retained_bytes{{{_ONE}}})", "{{slot}}"),
    ),
    lines(
        "How far each reader is behind",
        "WAL that was written and that the slot's reader has not confirmed.",
        "bytes",
        query(f"max by (slot) (loadgen_slot_confirmed_lag_bytes{{{_ONE}}})", "{{slot}}"),
    ),
    states(
        "Who is read",
        "Whether somebody reads each slot.",
        query(f"max by (slot) (loadgen_slot_active{{{_ONE}}})", "{{slot}}"),
        {"1": ("read", GREEN), "0": ("unread", YELLOW)},
    ),
    states(
        "What the server says of each slot",
        "reserved: all is well; extended: it keeps more than max_wal_size; unreserved: it may be "
        "lost at the next checkpoint; lost: its tool has to sync from scratch.",
        query(_STATUS, "{{slot}}"),
        _STATUSES,
    ),
]

_WAL = [
    lines(
        "WAL written",
        "By the whole server, a second.",
        "Bps",
        query(f"sum(rate(loadgen_source_wal_bytes_total[{_WINDOW}]))", "WAL"),
        width=8,
    ),
    lines(
        "WAL of a write",
        "WAL per committed write of the load, over five minutes.",
        "bytes",
        query("max(loadgen:wal_bytes_per_write)", "bytes a write"),
        width=8,
    ),
    lines(
        "Checkpoints and senders",
        "Checkpoints an hour: each makes the next writes dearer. Senders are the processes that "
        "send WAL to readers.",
        "short",
        query("sum(rate(loadgen_source_checkpoints_total[15m])) * 3600", "checkpoints an hour"),
        query("max(loadgen_source_walsenders)", "senders"),
        width=8,
    ),
]

_TABLES = [
    lines(
        "Rows",
        "Rows of each table, as the server estimates them.",
        "short",
        query("max by (table) (loadgen_source_rows)", "{{table}}"),
        width=8,
    ),
    lines(
        "Dead rows",
        "Rows that vacuum has not removed yet. A slot or a transaction that holds back the oldest "
        "snapshot keeps them.",
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
        "Connections to the database, the load's among them.",
        "short",
        query("max(loadgen_source_connections)", "sessions"),
        width=8,
    ),
    lines(
        "Oldest open transaction",
        "Its age.",
        "s",
        query("max(loadgen_source_oldest_transaction_seconds)", "age"),
        width=8,
        limit=600,
    ),
    lines(
        "Oldest snapshot",
        "For how many transactions vacuum has to keep rows; slots hold it back too.",
        "short",
        query("max(loadgen_source_xmin_age)", "transactions"),
        width=8,
    ),
]

SOURCE_AND_SLOTS = dashboard(
    "source",
    "What do the replication slots, and the load, do to the database?",
    [_SLOT],
    [
        ("", _VERDICT),
        ("Replication slots", _SLOTS),
        ("WAL", _WAL),
        ("Tables and sessions", _TABLES),
    ],
)
