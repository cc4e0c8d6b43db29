"""Report: what was found by many runs, as a page, figures and tables that one hands in."""
