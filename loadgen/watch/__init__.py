"""The second process: samples the source, writes and times markers, protects source and disk."""
