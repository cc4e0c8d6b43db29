"""Pretrained weights: which there are, where they are, and how they get into a backbone."""
