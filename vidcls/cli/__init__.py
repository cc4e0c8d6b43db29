"""Command line: one group of commands per file. A command parses, calls one function and renders."""

from vidcls.cli.main import app

__all__ = ["app"]
