"""The `vidcls` command, also as `python -m vidcls`."""

from vidcls.signals import CommandSignals


def main() -> None:
    """Run the command."""
    with CommandSignals():
        # Even this import takes long enough for a signal to come.
        from vidcls.cli import app

        app(prog_name="vidcls")


if __name__ == "__main__":
    main()
