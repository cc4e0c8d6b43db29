"""The command line: one verb group a file. Parses, calls one function, renders."""

from vidcls.cli.main import app

__all__ = ["app"]
