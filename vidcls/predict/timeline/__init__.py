"""Timelines: predictions for the windows of long videos and of live frames."""
