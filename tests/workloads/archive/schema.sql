-- An archive's catalogue: a schema that no part of the program was written for.
CREATE SCHEMA archive;
CREATE TYPE archive.condition AS ENUM ('good', 'worn', 'fragile', 'lost''n found');

CREATE TABLE archive."Person" (
    "PersonId"  uuid PRIMARY KEY,
    "Full Name" text NOT NULL,
    mail        text UNIQUE,
    born        date,
    mentor      uuid REFERENCES archive."Person",
    home_shelf  text,
    "version"   bigint NOT NULL DEFAULT 0,
    joined_at   timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE archive.shelves (
    code     text PRIMARY KEY,
    keeper   uuid NOT NULL REFERENCES archive."Person",
    capacity numeric NOT NULL,
    labels   text[] NOT NULL,
    seal     bytea
);
-- The circle: a person has a shelf, a shelf a keeper.
ALTER TABLE archive."Person" ADD CONSTRAINT person_home_shelf_fkey
    FOREIGN KEY (home_shelf) REFERENCES archive.shelves DEFERRABLE INITIALLY DEFERRED;

CREATE TABLE archive.items (
    item_id   uuid PRIMARY KEY,
    shelf     text NOT NULL REFERENCES archive.shelves,
    title     varchar(80) NOT NULL,
    state     archive.condition NOT NULL,
    height    numeric NOT NULL,
    width     numeric NOT NULL,
    area      numeric GENERATED ALWAYS AS (height * width) STORED,
    pages     integer[],
    details   jsonb NOT NULL,
    added_at  timestamptz NOT NULL
);
CREATE INDEX items_title_idx ON archive.items (lower(title)) WHERE state <> 'good';

CREATE TABLE archive.item_tags (
    item   uuid REFERENCES archive.items,
    tag    text,
    weight smallint,
    states archive.condition[],
    PRIMARY KEY (item, tag)
);

CREATE TABLE archive."order" (
    "select"   uuid PRIMARY KEY,
    "from"     uuid NOT NULL REFERENCES archive."Person",
    "table"    text,
    "limit"    integer,
    "Until"    timestamp,
    updated_at timestamptz NOT NULL
);

CREATE TABLE archive.movements (
    region       text NOT NULL,
    movement_no  bigint NOT NULL,
    item         uuid NOT NULL REFERENCES archive.items,
    "for"        uuid REFERENCES archive."order",
    distance     double precision,
    took         interval,
    moved_at     timestamptz NOT NULL,
    confirmed_at timestamptz,
    PRIMARY KEY (region, movement_no)
) PARTITION BY LIST (region);
CREATE TABLE archive.movements_eu PARTITION OF archive.movements FOR VALUES IN ('eu');
CREATE TABLE archive.movements_rest PARTITION OF archive.movements DEFAULT
    PARTITION BY HASH (movement_no);
CREATE TABLE archive.movements_rest_0 PARTITION OF archive.movements_rest
    FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE archive.movements_rest_1 PARTITION OF archive.movements_rest
    FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE INDEX movements_number_idx ON archive.movements (movement_no);

CREATE TABLE archive.accounts (
    account_no text PRIMARY KEY,
    owner      uuid NOT NULL REFERENCES archive."Person",
    balance    numeric NOT NULL DEFAULT 0,
    is_open    boolean NOT NULL DEFAULT true
);

CREATE TABLE archive.postings (
    account_no text NOT NULL REFERENCES archive.accounts,
    posting    uuid NOT NULL,
    amount     numeric NOT NULL,
    posted_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_no, posting)
);

CREATE TABLE archive."Climate" (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    humidity real NOT NULL,
    degrees  double precision NOT NULL,
    sensor   inet NOT NULL,
    span     int4range,
    taken_at time
);

-- It has no key and only receives rows.
CREATE TABLE public."Access Log" (
    item uuid,
    what jsonb NOT NULL,
    at   timestamptz NOT NULL DEFAULT now()
);
