"""Predictions of trained models on videos outside of any data root."""
