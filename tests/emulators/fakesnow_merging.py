"""fakesnow's server with MERGE inside a transaction: `fakesnow_merging.py -s -p PORT`.

fakesnow notes the temporary table that it makes for a MERGE in another database, which DuckDB
refuses in a transaction that has written to one.
"""

import sys

from fakesnow import info_schema
from fakesnow.cli import main

noted = info_schema.insert_table_comment_sql


def insert_table_comment_sql(catalog: str, schema: str, table: str, comment: str) -> str:
    """Return the SQL that notes a table, or nothing for the one of a MERGE."""
    return (
        "SELECT 1"
        if table.lower() == "merge_candidates"
        else noted(catalog, schema, table, comment)
    )


info_schema.insert_table_comment_sql = insert_table_comment_sql
sys.exit(main())
