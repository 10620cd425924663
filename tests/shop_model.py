"""A workload model by hand, for tests of values: tables like the shop's, without files."""

from datetime import UTC, datetime

from loadgen.workload.model import (
    Choice,
    Decimal,
    Email,
    Gone,
    Json,
    NextState,
    Number,
    OnceParameter,
    Operation,
    PersonName,
    Proof,
    Row,
    Sequence,
    Statement,
    States,
    Table,
    Time,
    TimeAfter,
    Uuid,
    Value,
    WorkloadModel,
)

END = datetime(2026, 11, 29, tzinfo=UTC)
ROWS = {"users": 2000, "orders": 6000, "events": 12000}
SETTINGS = {"event_bytes": 300, "hot_users": None}
TYPES = {
    "users": {
        "id": "bigint",
        "email": "text",
        "name": "text",
        "plan": "text",
        "country": "text",
        "created_at": "timestamp with time zone",
        "updated_at": "timestamp with time zone",
        "deleted_at": "timestamp with time zone",
        "version": "bigint",
    },
    "orders": {
        "id": "bigint",
        "order_number": "uuid",
        "user_id": "bigint",
        "status": "text",
        "quantity": "integer",
        "amount": "numeric(12,2)",
        "currency": "text",
        "created_at": "timestamp with time zone",
        "updated_at": "timestamp with time zone",
        "version": "bigint",
    },
    "events": {
        "id": "bigint",
        "event_id": "uuid",
        "user_id": "bigint",
        "event_type": "text",
        "properties": "jsonb",
        "created_at": "timestamp with time zone",
        "updated_at": "timestamp with time zone",
    },
}

_PAGES = Choice(("/", "/pricing", "/cart", "/café", '/"quoted"'), (5, 2, 2, 1, 1))
_USERS = Table(
    "users",
    key=("id",),
    columns={
        "id": Value(Sequence()),
        "email": Value(Email("name")),
        "name": Value(PersonName("country")),
        "plan": Value(Choice(("free", "starter", "team"), (60, 30, 10))),
        "country": Value(Choice(("US", "DE", "IL"), (6, 3, 1))),
        "created_at": Value(Time(spread="growth")),
        "updated_at": Value(TimeAfter("created_at", 0.125)),
        "version": Value(Number(0, 2, 4)),
    },
    gone=Gone("deleted_at", 0.02),
)
_ORDERS = Table(
    "orders",
    key=("id",),
    columns={
        "id": Value(Sequence()),
        "order_number": Value(Uuid()),
        "user_id": Value(Row("users", "id", 3)),
        "quantity": Value(Number(1, 8, 2)),
        "amount": Value(Decimal(4.99, 2500, 2, 2)),
        "currency": Value(Choice(("USD", "EUR", "GBP"), (4, 4, 2))),
        "created_at": Value(Time(spread="growth")),
    },
    states=States(
        "status",
        "version",
        "id",
        "pending",
        {
            "pending": (NextState("paid", 92, (1, 601)), NextState("cancelled", 8, (30, 2910))),
            "paid": (NextState("shipped", 97, (180, 4500)), NextState("refunded", 3, (600, 9000))),
            "shipped": (NextState("delivered", 1, (1200, 9840)),),
            "delivered": (NextState("refunded", 2, (600, 15000)), NextState("", 98)),
        },
        "created_at",
        "updated_at",
    ),
)
_EVENTS = Table(
    "events",
    key=("id",),
    columns={
        "id": Value(Sequence()),
        "event_id": Value(Uuid()),
        "user_id": Value(Row("users", "id", 3)),
        "event_type": Value(Choice(("page_view", "search"), (3, 1))),
        "properties": Value(
            Json(
                {
                    "page_view": {
                        "session": Uuid(),
                        "path": _PAGES,
                        "load_ms": Number(40, 2000, 2),
                    },
                    "search": {
                        "session": Uuid(),
                        "page": Number(1, 4),
                        "filters": {"paid": None, "price": Decimal(1, 9, 2), "tags": [_PAGES]},
                    },
                },
                "event_type",
                256,
                "event_bytes",
            )
        ),
        "created_at": Value(Time(spread="growth")),
        "updated_at": Value(TimeAfter("created_at", 0)),
    },
)
_REMOVE = "UPDATE users SET deleted_at = now() WHERE id = $1"

SHOP = WorkloadModel(
    "shop",
    "a shop",
    {"users": _USERS, "orders": _ORDERS, "events": _EVENTS},
    {
        "create_order": Operation(
            "create_order",
            "orders",
            "orders_per_hour",
            1.0,
            (Statement("INSERT INTO orders (user_id) VALUES ($1)", ("user",), "insert", "orders"),),
            {
                "user": Value(Row("users", "id", 3, "hot_users")),
                "amount": Value(Decimal(4.99, 2500, 2, 2)),
            },
            Proof("unproved"),
        ),
        "remove_user": Operation(
            "remove_user",
            "removed users",
            "soft_deletes_per_hour",
            1.0,
            (Statement(_REMOVE, ("user",), "update", "users"),),
            {"user": OnceParameter("users", "id", 0.2, "deleted_at IS NULL")},
            Proof("once", "user", "users", "id", condition="deleted_at IS NULL"),
        ),
    },
)
