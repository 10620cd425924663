"""The run folder: what is in each file, its writer and its reader; the verdict on a run."""
