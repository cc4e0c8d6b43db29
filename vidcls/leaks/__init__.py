"""Leaks: finds videos related across splits, and makes splits that separate no related videos."""
