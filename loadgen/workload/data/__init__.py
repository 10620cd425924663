"""The values of the shop's rows and writes, as pure functions of draws."""
