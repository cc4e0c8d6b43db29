"""`vidcls sweep`: launch and control a sweep, and show its status."""

import typer

from vidcls.cli.sweep import control, launch, state

app = typer.Typer(no_args_is_help=True, help="Search: launch sweeps, watch them, live with them.")
for _command in (launch.check, launch.launch, launch.ls, *state.COMMANDS, *control.COMMANDS):
    app.command()(_command)
app.command(hidden=True)(launch.work)
