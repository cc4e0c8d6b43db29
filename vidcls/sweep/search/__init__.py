"""Which point is tried next, and what a free worker does."""
