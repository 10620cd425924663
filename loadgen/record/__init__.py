"""The run folder: each file's content, writer and reader; the verdict on a run."""
