"""Building blocks of layouts: files of a folder, rows of a table, labels, groups."""
