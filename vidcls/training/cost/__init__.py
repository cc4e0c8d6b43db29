"""What a training step costs: its memory, its operations, and the time that a GPU needs at least."""
