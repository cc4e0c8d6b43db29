"""Files to frames and flow: readers, decoders in worker processes."""
