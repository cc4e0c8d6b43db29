"""A search file and its trials: space, searchers, trial folders, workers."""
