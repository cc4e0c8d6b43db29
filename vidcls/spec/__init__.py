"""Specs: frozen sections, the YAML loader, the fingerprint. Imports no torch."""
