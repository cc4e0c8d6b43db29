"""Locks, so that one process at a time uses a run: lock files, their holders, and heartbeats."""
