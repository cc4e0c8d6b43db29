"""A run and videos -> stored per-video logits -> metrics, reports and comparisons; the sealed test."""
