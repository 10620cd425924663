"""fakesnow's server with MERGE inside a transaction: `fakesnow_merging.py -s -p PORT`.

For a MERGE, fakesnow makes a temporary table and records it in another database. DuckDB refuses
this, because one transaction may write to one database only.
"""

import sys

from fakesnow import info_schema
from fakesnow.cli import main

noted = info_schema.insert_table_comment_sql


def insert_table_comment_sql(catalog: str, schema: str, table: str, comment: str) -> str:
    """Return the SQL that records a table; for the temporary table of a MERGE it does nothing."""
    return (
        "SELECT 1"
        if table.lower() == "merge_candidates"
        else noted(catalog, schema, table, comment)
    )


info_schema.insert_table_comment_sql = insert_table_comment_sql
sys.exit(main())
