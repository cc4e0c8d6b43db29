"""Run folders: what is in one, what its files look like, and where runs are."""
