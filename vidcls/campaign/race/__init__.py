"""Race of experiments: only those that may still be the best get more seeds."""
