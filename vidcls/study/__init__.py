"""Studies of stored results: nothing here loads a model or trains."""
