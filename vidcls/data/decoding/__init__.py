"""Decoding of files to frames and flow: readers, and decoders in worker processes."""
