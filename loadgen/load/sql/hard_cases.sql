-- The hard cases, all on the table `hard_cases`; `case_name` is a column, `n` counts the case's
-- turns, `age` is how many seconds a row lives before it is changed or deleted.

-- name: insert_plain
-- A row that a later turn works on.
INSERT INTO public.hard_cases (case_name, word) VALUES (%(case_name)s, 'turn ' || %(n)s);

-- name: insert_wide
-- A row with a value of 4 kB that is stored apart from it.
INSERT INTO public.hard_cases (case_name, word, wide)
SELECT %(case_name)s, 'turn ' || %(n)s, string_agg(md5(%(n)s || ' ' || k), '')
FROM generate_series(1, 128) AS k;

-- name: hard_deletes
-- Deletes the oldest row that tools had time to copy; returns its key.
DELETE FROM public.hard_cases WHERE id = (
    SELECT id FROM public.hard_cases
    WHERE case_name = %(case_name)s AND created_at < now() - make_interval(secs => %(age)s)
    ORDER BY id LIMIT 1)
RETURNING id;

-- name: key_changes
-- Gives the oldest row a new primary key; returns its old one.
UPDATE public.hard_cases AS h
SET id = nextval(pg_get_serial_sequence('public.hard_cases', 'id'))
FROM (
    SELECT id FROM public.hard_cases
    WHERE case_name = %(case_name)s AND created_at < now() - make_interval(secs => %(age)s)
    ORDER BY id LIMIT 1) AS oldest
WHERE h.id = oldest.id
RETURNING oldest.id;

-- name: key_reuses
-- Deletes the oldest row; the same transaction then inserts its key again.
DELETE FROM public.hard_cases WHERE id = (
    SELECT id FROM public.hard_cases
    WHERE case_name = %(case_name)s AND created_at < now() - make_interval(secs => %(age)s)
    ORDER BY created_at LIMIT 1)
RETURNING id;

-- name: insert_again
-- A row with a key that existed before.
INSERT INTO public.hard_cases (id, case_name, word)
VALUES (%(id)s, %(case_name)s, 'again, turn ' || %(n)s);

-- name: wide_updates
-- Changes another column than the wide one, whose value is then missing in WAL.
UPDATE public.hard_cases SET word = 'updated in turn ' || %(n)s WHERE id = (
    SELECT id FROM public.hard_cases
    WHERE case_name = %(case_name)s AND created_at < now() - make_interval(secs => %(age)s)
    ORDER BY updated_at LIMIT 1);

-- name: odd_numbers
-- Numbers at the ends of their types, and with all their digits.
INSERT INTO public.hard_cases (case_name, whole, amount)
SELECT %(case_name)s, whole, amount FROM (VALUES
    (0, 9223372036854775807, 12345678901234567890.123456789012345678),
    (1, -9223372036854775808, -99999999999999999999.999999999999999999),
    (2, 9007199254740993, 0.000000000000000001),
    (3, 0, 0.100000000000000000)) AS v (k, whole, amount)
WHERE k = %(n)s %% 4;

-- name: odd_times
-- Times at six digits, before the epoch, and far from it.
INSERT INTO public.hard_cases (case_name, moment)
SELECT %(case_name)s, moment FROM (VALUES
    (0, timestamptz '0001-01-01 00:00:00.000001+00'),
    (1, timestamptz '9999-12-31 23:59:59.999999+00'),
    (2, timestamptz '1969-12-31 23:59:59.999999+00'),
    (3, timestamptz '2026-03-29 01:30:00.123456+00')) AS v (k, moment)
WHERE k = %(n)s %% 4;

-- name: odd_documents
-- JSON with odd keys, numbers too big or too small for a double, and all sorts of text.
INSERT INTO public.hard_cases (case_name, document)
SELECT %(case_name)s, document::jsonb FROM (VALUES
    (0, '{"": 1, "a.b": {"c d": null}, "A": 1, "a": 2, "$ref": [], "_id": {}}'),
    (1, '{"big": 12345678901234567890123, "tiny": 1e-30, "exact": 0.1000000000000000055511}'),
    (2, '{"ключ": "😀", "rtl": "שלום", "nul-like": "\\u0000", "tab": "\t", "q": "\"''"}'),
    (3, '[1, [], {}, null, true, "2026-01-01T00:00:00Z", "null"]')) AS v (k, document)
WHERE k = %(n)s %% 4;

-- name: odd_texts
-- Texts that tools take for NULL, or that break a file on the way.
INSERT INTO public.hard_cases (case_name, word)
SELECT %(case_name)s, word FROM (VALUES
    (0, ''), (1, 'NULL'), (2, '\N'), (3, '"'), (4, ''''), (5, 'a,"b";c|d'), (6, E'two\nlines\r\n'),
    (7, E'tab\t, bell\x07, one\x01, escape\x1b'), (8, ' leading and trailing '), (9, '<null>'),
    (10, 'üñï 😀 שלום 漢字'), (11, '\'), (12, 'e' || U&'\0301' || ' is not é'), (13, NULL)
) AS v (k, word)
WHERE k = %(n)s %% 14;

-- name: added_columns
-- Adds a column, once a database; later turns only fill it.
ALTER TABLE public.hard_cases ADD COLUMN IF NOT EXISTS added_later text DEFAULT 'as it was added';
