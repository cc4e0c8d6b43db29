"""Data pipeline from video files to batches: layouts, manifest, decoding, store, transforms, demo set."""
