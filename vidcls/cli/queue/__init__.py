"""Commands that go to a queue instead of being run here, and the look before that."""
