"""Decoded clips -> batches on the device: sampling windows, augmentation, prefetch."""
