"""Commands that are submitted to a queue instead of run here, and the preflight check before that."""
