"""Batches and a model become a run: trainer, optimiser, precision, checkpoints, signals."""
