"""What it cost: who is asked for cost lines, the rate cards, and the estimates from them."""
