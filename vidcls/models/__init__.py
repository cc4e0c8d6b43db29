"""A clip to logits: one architecture a file, backbones, and one visible `build`."""
