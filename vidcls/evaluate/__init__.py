"""Evaluation of a run: stored logits of each video, metrics, reports, comparisons; the sealed test split."""
