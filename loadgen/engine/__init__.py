"""One run of the load: conducted here, performed by this process or by workers."""
