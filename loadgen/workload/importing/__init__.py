"""A workload model from the statistics of a live Postgres, which `loadgen.source` reads. Pure."""
