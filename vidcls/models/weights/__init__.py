"""Pretrained weights: catalogue, download, files, and loading into a backbone."""
