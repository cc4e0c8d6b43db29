"""Hyperparameter sweeps: sweep file, search space, searchers, storage of the trials, workers."""
