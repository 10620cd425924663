"""Settings, thresholds and decision rules: what people configure."""
