-- Marker rows: events that the watch writes, and destinations are asked for. Their keys are made
-- from run id and sequence, so that one whose answer was lost is found by an index.

-- name: write_marker
-- One marker, only where this database is the run's own, and never the same one twice.
INSERT INTO public.events (event_id, event_type, properties)
SELECT %(event_id)s, 'loadgen_marker',
       jsonb_build_object('run_id', run_id, 'sequence', %(sequence)s::bigint,
                          'sent_at', %(sent_at)s::timestamptz)
FROM public.loadgen_playground WHERE run_id = %(run_id)s
ON CONFLICT DO NOTHING

-- name: find_markers
-- Those of the keys that are there, with the time at which they were sent.
SELECT (properties ->> 'sequence')::bigint AS sequence,
       (properties ->> 'sent_at')::timestamptz AS written_at
FROM public.events WHERE event_id = ANY (%(event_ids)s) ORDER BY 1
