"""Tracking of metrics: always a JSON-lines file, Weights & Biases on request, curves as a picture."""
