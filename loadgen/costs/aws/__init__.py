"""What AWS measured and billed."""
