"""Estimates with intervals from seeds and groups of videos: pure functions of numbers, no files, no runs."""
