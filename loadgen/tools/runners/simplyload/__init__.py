"""Runner "simplyload", the reference pipe: the WAL, files in a bucket, MERGE at the destination.

It is the hypothesis of docs/SIMPLYLOAD_SETUP.md in executable form, not a product: one process, one
slot, one destination. `sync` has the order of commits, on which everything else rests.

    slot -> pgoutput (decode) -> changes (fold by key) -> bucket (Parquet) -> destination (MERGE)
"""
