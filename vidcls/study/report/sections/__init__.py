"""Sections of the report: each module reads stored results and makes one subject of the document."""
