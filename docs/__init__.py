"""The documentation site: its pages, and what makes the generated ones."""
