"""What may be asked for: frozen sections, the YAML loader, the fingerprint. Imports no torch."""
