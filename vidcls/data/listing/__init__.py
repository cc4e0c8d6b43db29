"""The pieces that layouts are made of: files of a folder, rows of a table, labels, groups."""
