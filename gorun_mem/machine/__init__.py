"""World, Ms and the two hosts that run them."""
