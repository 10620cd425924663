"""AWS: the usage of tagged resources at list prices, and the bill."""
