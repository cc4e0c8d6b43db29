"""Search space: all points that a sweep may try."""
