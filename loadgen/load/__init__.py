"""The Locust process: it writes the workload at the asked rates and keeps the run record."""
