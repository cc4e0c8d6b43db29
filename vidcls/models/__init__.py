"""Models from clips to logits: one architecture per file, backbones, and one explicit `build`."""
