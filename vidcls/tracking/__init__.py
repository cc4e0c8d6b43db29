"""Metrics out of a run: a JSON-lines file always, Weights & Biases when asked, curves as a picture."""
