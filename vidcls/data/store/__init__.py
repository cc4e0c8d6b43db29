"""Decode once: the store of decoded clips, its index, and where clips live while they are read."""
