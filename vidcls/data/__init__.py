"""From video files to batches: layouts, manifest, decode, store, sampling, transforms, the demo set."""
