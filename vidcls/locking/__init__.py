"""One process a run: locks, their holders, and signs of life."""
