"""What the keys of a spec mean, read from the code of the sections and from the shipped files."""
