"""Architectures, one per file, selected by `model.kind` of a spec."""
