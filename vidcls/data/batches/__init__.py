"""Batches of decoded clips on the device: crop windows, augmentation, prefetch."""
