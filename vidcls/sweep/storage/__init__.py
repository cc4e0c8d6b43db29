"""Folder of a sweep: trials, workers, control events, jobs. Every change is one atomic file operation."""
