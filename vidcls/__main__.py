"""Entry point of the `vidcls` command, also as `python -m vidcls`."""

from vidcls.process.signals import CommandSignals


def main() -> None:
    """Run the `vidcls` command."""
    with CommandSignals():
        # A signal may come even during this import.
        from vidcls.cli import app

        app(prog_name="vidcls")


if __name__ == "__main__":
    main()
