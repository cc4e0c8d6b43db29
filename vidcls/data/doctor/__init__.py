"""Tries a data set of the user, and says what is wrong with it: one kind of finding a module."""
