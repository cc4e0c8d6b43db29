"""All points that a sweep may try."""
