"""The architectures, one a file: what `model.kind` of a spec names."""
