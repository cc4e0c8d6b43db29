"""Store of decoded clips, so that each video is decoded once: its files, its index, its residency."""
