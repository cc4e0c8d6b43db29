"""Which videos are related across splits, and splits that no related videos cross."""
