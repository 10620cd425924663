-- pgbench's tables, under its own names, with the primary keys that pgbench -i adds.
CREATE TABLE public.pgbench_branches (
    bid      integer PRIMARY KEY,
    bbalance integer NOT NULL DEFAULT 0,
    filler   character(88)
) WITH (fillfactor = 100);

CREATE TABLE public.pgbench_tellers (
    tid      integer PRIMARY KEY,
    bid      integer NOT NULL,
    tbalance integer NOT NULL DEFAULT 0,
    filler   character(84)
) WITH (fillfactor = 100);

CREATE TABLE public.pgbench_accounts (
    aid      integer PRIMARY KEY,
    bid      integer NOT NULL,
    abalance integer NOT NULL DEFAULT 0,
    filler   character(84)
) WITH (fillfactor = 100);

CREATE TABLE public.pgbench_history (
    tid    integer,
    bid    integer,
    aid    integer,
    delta  integer,
    mtime  timestamp without time zone,
    filler character(22)
);
