"""What is ours on Locust's own page: its statistics fed, its forms checked, a tab added."""
