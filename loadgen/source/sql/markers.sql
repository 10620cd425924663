-- Marker rows: events that the watch writes, and looks for in the destinations. Their keys are made
-- from run id and sequence, so that an index finds one whose answer was lost.

-- name: write_marker
-- One marker, if the run is this database's current one, and never the same one twice. Every
-- transaction with an id below its horizon had ended before the marker was written.
INSERT INTO public.events (event_id, event_type, properties)
SELECT %(event_id)s, 'loadgen_marker',
       jsonb_build_object('run_id', run_id, 'sequence', %(sequence)s::bigint,
                          'sent_at', %(sent_at)s::timestamptz,
                          'horizon', pg_snapshot_xmin(pg_current_snapshot())::text::bigint)
FROM public.loadgen_playground WHERE run_id = %(run_id)s
ON CONFLICT DO NOTHING

-- name: find_markers
-- The markers of these keys, with their time of sending and their age by the source's clock.
SELECT (properties ->> 'sequence')::bigint AS sequence,
       (properties ->> 'sent_at')::timestamptz AS written_at,
       (properties ->> 'horizon')::bigint AS horizon,
       extract(epoch FROM clock_timestamp() - created_at)::float8 AS age_seconds
FROM public.events WHERE event_id = ANY (%(event_ids)s) ORDER BY 1
