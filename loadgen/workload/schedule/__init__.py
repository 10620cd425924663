"""Which write is due when: pure arithmetic."""
