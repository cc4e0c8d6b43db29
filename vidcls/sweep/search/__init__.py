"""Searchers, which choose the next point, and the scheduler, which gives free workers their next trial."""
