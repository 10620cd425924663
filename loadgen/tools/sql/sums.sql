-- Sums of columns of a copy, or of the source, in one statement that every engine takes. The probe
-- fills in {names}.

-- name: sums
-- One row with the sums of all tables; {tables} are such queries, in parentheses and with aliases.
SELECT * FROM {tables}

-- name: table_sums
-- The sums of one table's rows that count.
SELECT {sums} FROM {table} WHERE {live}
