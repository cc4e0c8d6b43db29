"""Videos that are related across splits: finding them, and splits that none of them crosses."""
