"""Evaluation of a run: stored logits of each video, metrics, reports; the sealed test split."""
