"""What frozen backbones give of each video, stored once and read as batches."""
