"""Training of a run: loop, optimiser, precision, checkpoints, signals."""
