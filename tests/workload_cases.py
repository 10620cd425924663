"""A workload that no part of the program was written for, as a model: keys, types and names."""

from loadgen.workload.model import (
    Array,
    Bytes,
    Check,
    Choice,
    Decimal,
    Email,
    Json,
    KeyParameter,
    Number,
    Operation,
    Proof,
    Row,
    Sequence,
    Statement,
    Table,
    Text,
    Time,
    Uuid,
    Value,
    WorkloadModel,
)

SCHEMA = """
CREATE SCHEMA sales;
CREATE TYPE mood AS ENUM ('calm', 'cross');
CREATE DOMAIN percent AS integer CHECK (VALUE BETWEEN 0 AND 100);
CREATE TABLE customers (
    customer_no uuid PRIMARY KEY,
    email       text NOT NULL UNIQUE,
    mood        mood NOT NULL,
    share       percent,
    tags        text[] NOT NULL,
    seen        timestamptz,
    favourite   uuid
);
CREATE TABLE sales."Order" (
    "orderNo"  text PRIMARY KEY,
    customer   uuid NOT NULL REFERENCES customers,
    "select"   numeric NOT NULL,
    doubled    numeric GENERATED ALWAYS AS ("select" * 2) STORED,
    body       jsonb
);
ALTER TABLE customers ADD CONSTRAINT customers_favourite_fkey
    FOREIGN KEY (favourite) REFERENCES customers;
CREATE TABLE sales.lines (
    order_no  text REFERENCES sales."Order",
    line      integer,
    blob      bytea NOT NULL,
    PRIMARY KEY (order_no, line)
);
CREATE TABLE staff (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    badge   serial UNIQUE,
    name    text NOT NULL,
    leads   bigint
);
CREATE TABLE teams (
    id    bigint PRIMARY KEY,
    head  bigint NOT NULL REFERENCES staff
);
ALTER TABLE staff ADD CONSTRAINT staff_leads_fkey FOREIGN KEY (leads) REFERENCES teams;
CREATE TABLE measures (
    id    bigint NOT NULL,
    day   date NOT NULL,
    value double precision NOT NULL,
    PRIMARY KEY (id, day)
) PARTITION BY HASH (id);
CREATE TABLE measures_0 PARTITION OF measures FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE measures_1 PARTITION OF measures FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE INDEX measures_day_idx ON measures (day);
CREATE INDEX measures_1_value_idx ON measures_1 (value) WHERE value > 0;
CREATE TABLE audit (at timestamptz DEFAULT now(), what text NOT NULL);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO public.audit (what) VALUES (TG_TABLE_NAME);
    RETURN NEW;
END
$$;
CREATE TRIGGER note AFTER INSERT ON teams FOR EACH ROW EXECUTE FUNCTION note();
CREATE INDEX lower_email_idx ON customers (lower(email));
"""


def _tables() -> dict[str, Table]:
    tables = (
        Table(
            "customers",
            rows=2000,
            key=("customer_no",),
            columns={
                "customer_no": Value(Uuid()),
                "email": Value(Email()),
                "mood": Value(Choice(("calm", "cross"), (3, 1))),
                "share": Value(Number(0, 100), null_share=0.2),
                "tags": Value(Array(Text(2, 6), 0, 3)),
                "seen": Value(Time(), null_share=0.5),
                "favourite": Value(Row("customers", "customer_no", skew=2), null_share=0.5),
            },
        ),
        Table(
            "sales.Order",
            rows=3000,
            key=("orderNo",),
            columns={
                "orderNo": Value(Sequence(1, "ORD-{:06}")),
                "customer": Value(Row("customers", "customer_no", skew=2)),
                "select": Value(Decimal(1, 500, 3)),
                "body": Value(Json({"": {"a": Number(1, 9), "b": {"c": Text(1, 9)}}})),
            },
        ),
        Table(
            "sales.lines",
            rows=1000,
            key=("order_no", "line"),
            columns={
                "order_no": Value(Row("sales.Order", "orderNo")),
                "line": Value(Sequence()),
                "blob": Value(Bytes(0, 20)),
            },
        ),
        Table(
            "staff",
            rows=500,
            key=("id",),
            columns={
                "id": Value(Sequence()),
                "badge": Value(Sequence(1000)),
                "name": Value(Text(3, 20)),
                "leads": Value(Row("teams", "id"), null_share=0.9),
            },
        ),
        Table(
            "teams",
            rows=20,
            key=("id",),
            columns={"id": Value(Sequence()), "head": Value(Row("staff", "id"))},
        ),
        Table(
            "measures",
            rows=2000,
            key=("id", "day"),
            columns={
                "id": Value(Sequence()),
                "day": Value(Time(form="date")),
                "value": Value(Decimal(-5, 5, 2)),
            },
        ),
    )
    return {table.name: table for table in tables}


def _operation(
    name: str, sql: str, table: str, change: str, parameters: dict[str, object], proof: Proof
) -> Operation:
    statement = Statement(sql, tuple(parameters), change, table)  # type: ignore[arg-type]
    return Operation(
        name=name,
        label=name,
        option=f"{name}_per_hour",
        per_hour=60,
        statements=(statement,),
        parameters=parameters,  # type: ignore[arg-type]
        proof=proof,
    )


def made_up_model() -> WorkloadModel:
    """Return the model."""
    operations = (
        _operation(
            "place_order",
            'INSERT INTO sales."Order" ("orderNo", customer, "select") VALUES ($1, $2, $3)',
            "sales.Order",
            "insert",
            {
                "order": KeyParameter("sales.Order", "orderNo"),
                "customer": Value(Row("customers", "customer_no")),
                "amount": Value(Decimal(1, 9, 2)),
            },
            Proof("key", "order", "sales.Order", "orderNo"),
        ),
        _operation(
            "raise_share",
            "UPDATE customers SET share = least(share + 1, 100) WHERE customer_no = $1",
            "customers",
            "update",
            {"customer": Value(Row("customers", "customer_no"))},
            Proof("unproved"),
        ),
        _operation(
            "forget",
            "DELETE FROM sales.lines WHERE order_no = $1",
            "sales.lines",
            "delete",
            {"order": Value(Row("sales.Order", "orderNo"))},
            Proof("unproved"),
        ),
    )
    return WorkloadModel(
        name="made_up",
        title="made up",
        tables=_tables(),
        operations={operation.name: operation for operation in operations},
        checks=(Check("positive", "amounts are positive", POSITIVE, "orders"),),
        schema_sql=SCHEMA,
        digest="d" * 64,
    )


POSITIVE = 'SELECT count(*) FROM sales."Order" WHERE "select" <= 0'
