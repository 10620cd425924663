"""Real logical replication from one database to another, as a tool under test."""

from loadgen.source.postgres import connect


class Subscription:
    """What carries from a source to a copy; switched off it holds everything back."""

    def __init__(self, source: str, copy: str) -> None:
        self._copy = copy
        with connect(source) as publisher:
            publisher.execute("SELECT pg_create_logical_replication_slot('copy', 'pgoutput')")
        # The slot is made beforehand: a subscription within one server would wait for itself.
        self.do(
            f"CREATE SUBSCRIPTION copy CONNECTION '{source}' PUBLICATION loadgen "
            "WITH (create_slot = false, slot_name = 'copy', copy_data = false)"
        )

    def do(self, statement: str) -> None:
        """Run a statement at the copy."""
        with connect(self._copy) as subscriber:
            subscriber.execute(statement)

    def drop(self) -> None:
        """Take it away; the slot goes with its database."""
        for change in ("DISABLE", "SET (slot_name = NONE)"):
            self.do(f"ALTER SUBSCRIPTION copy {change}")
        self.do("DROP SUBSCRIPTION copy")
