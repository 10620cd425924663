"""What is written: synthetic data, the baseline, the arrival schedule and the four operations."""
