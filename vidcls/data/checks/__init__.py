"""Checks that decode every video once, in order; training uses the results and the user should know them."""
