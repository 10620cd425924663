-- Marker rows: events that the watch writes, and destinations are asked for. Their keys are made
-- from run id and sequence, so that one whose answer was lost is found by an index.

-- name: write_marker
-- One marker, only where this database is the run's own, and never the same one twice. Its horizon:
-- every transaction with a lower id had ended before the marker was written.
INSERT INTO public.events (event_id, event_type, properties)
SELECT %(event_id)s, 'loadgen_marker',
       jsonb_build_object('run_id', run_id, 'sequence', %(sequence)s::bigint,
                          'sent_at', %(sent_at)s::timestamptz,
                          'horizon', pg_snapshot_xmin(pg_current_snapshot())::text::bigint)
FROM public.loadgen_playground WHERE run_id = %(run_id)s
ON CONFLICT DO NOTHING

-- name: find_markers
-- Those of the keys that are there, with the time at which they were sent, and how old they are by the
-- source's own clock.
SELECT (properties ->> 'sequence')::bigint AS sequence,
       (properties ->> 'sent_at')::timestamptz AS written_at,
       (properties ->> 'horizon')::bigint AS horizon,
       extract(epoch FROM clock_timestamp() - created_at)::float8 AS age_seconds
FROM public.events WHERE event_id = ANY (%(event_ids)s) ORDER BY 1
