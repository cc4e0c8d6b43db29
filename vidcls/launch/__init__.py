"""Submits commands to a queue: local, SLURM, LSF. Rendering a script is a pure function."""
