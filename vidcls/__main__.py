"""`python -m vidcls` is the `vidcls` command."""

from vidcls.cli import app

if __name__ == "__main__":
    app(prog_name="vidcls")
