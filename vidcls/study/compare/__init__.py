"""Which differences between configurations are real: verdicts from stored logits, with what they stand on."""
