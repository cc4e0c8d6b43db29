"""`vidcls data`: scan, check, audit and split the videos; make the demo data."""

import typer

from vidcls.cli.data import audit, check, doctor, scan, split

app = typer.Typer(
    name="data", help="Check, audit and split a data set; make the demo data.", no_args_is_help=True
)
for _command in (scan.scan, scan.demo, check.check, doctor.doctor, audit.audit, split.split):
    app.command()(_command)
