"""Features of frozen backbones: computed and stored once for each video, and read as batches."""
