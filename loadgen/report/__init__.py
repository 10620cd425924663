"""From a run record to pages that people read."""
