"""Writers of the report: one output format a module."""
