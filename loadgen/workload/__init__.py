"""The workload: its operations, their arrival schedule, their values, and the accounting. Pure."""
