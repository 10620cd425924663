"""The second process: samples the source, writes and looks for markers, protects the disk."""
