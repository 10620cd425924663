"""The parts of the watch: markers and sightings, source protection, notices, metrics."""
