"""`vidcls sweep`: launch and control a sweep, and show its status."""

import typer

from vidcls.cli.sweep import control, launch, state

app = typer.Typer(no_args_is_help=True, help="Launch, watch and control sweeps (searches over settings).")
for _command in (launch.check, launch.launch, launch.ls, *state.COMMANDS, *control.COMMANDS):
    app.command()(_command)
app.command(hidden=True)(launch.work)
