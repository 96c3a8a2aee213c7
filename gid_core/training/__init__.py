"""Training of the networks: where motions come from, what is asked of the networks, and the loop."""
