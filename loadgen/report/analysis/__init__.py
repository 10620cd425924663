"""What the report concludes from a run record."""
