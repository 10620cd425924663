-- Markers, which the watch writes and looks for in the destinations. Run id and sequence are unique,
-- so that one whose answer was lost is found.

-- name: write_marker
-- One marker, if the run is this database's current one, and never the same one twice.
INSERT INTO public.loadgen_markers (run_id, sequence, sent_at, horizon)
SELECT run_id, %(sequence)s, %(sent_at)s, pg_snapshot_xmin(pg_current_snapshot())::text::bigint
FROM public.loadgen_playground WHERE run_id = %(run_id)s
ON CONFLICT DO NOTHING

-- name: find_markers
-- A run's markers, with their time of sending and their age by the source's clock.
SELECT sequence, sent_at AS written_at, horizon,
       extract(epoch FROM clock_timestamp() - created_at)::float8 AS age_seconds
FROM public.loadgen_markers WHERE run_id = %(run_id)s AND sequence > %(after)s ORDER BY sequence
