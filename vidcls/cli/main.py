"""The `vidcls` command: its groups, overrides in any position, and the rendering of errors."""

from __future__ import annotations

import re
import signal
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from vidcls.cli.common import accept_any_text, echo, say
from vidcls.errors import ExitCode, UserError, VidclsError
from vidcls.files import expand_home
from vidcls.process.signals import Interruption
from vidcls.process.speed import compute_fast

_TAKE_OVERRIDES = ("train", "spec", "model", "sweep", "race", "leak", "check", "crossval")
_TOP_LEVEL = ("name", "seed", "runs_dir", "store_dir")
_DASHED = re.compile(rf"--((?:[A-Za-z_]\w*(?:\.\w+)+|{'|'.join(_TOP_LEVEL)})=.*)", re.DOTALL)
_HOME = re.compile(r"(|--[a-z-]+=)(~.*)", re.DOTALL)
_OPTION = re.compile(r"--[a-z-]+")
_INFINITE = re.compile(r"[+-]?(?:nan|inf|infinity)", re.IGNORECASE)
_SPACED = re.compile(r"--([A-Za-z_]\w*(?:\.\w+)+)")


class _Commands(TyperGroup):
    """Group of commands whose help shows no `<bool>` beside options without a value."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Options of the group itself."""
        return _without_types(super().get_params(ctx))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Command with a name."""
        command = super().get_command(ctx, cmd_name)
        if command is not None:
            _without_types(command.get_params(ctx))
        return command


def _without_types(params: list[Any]) -> list[Any]:
    for param in params:
        if getattr(param, "is_flag", False):
            param.metavar = ""
    return params


class _Group(_Commands):
    """Accepts `--optim.lr=3e-4` as the override `optim.lr=3e-4`, and prints a `VidclsError` as a message."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Convert dashed overrides (from `wandb agent`) to plain ones before options are read."""
        accept_any_text()
        plain: list[str] = []
        for i, arg in enumerate(args):
            if args[0] in _TAKE_OVERRIDES and (match := _SPACED.fullmatch(arg)):
                value = args[i + 1] if i + 1 < len(args) else "VALUE"
                _mistake(f"{arg}: expected `=` in an override", hint=f"write {match[1]}={value}")
            if args[0] == "sweep" and arg.startswith("--seed="):
                number = arg.removeprefix("--seed=")
                hint = f"write --seed {number} for the search, or seed={number} for all trainings"
                _mistake(
                    f"{arg}: means either the seed of the search or the seed of the trainings", hint=hint
                )
            if args[0] in _TAKE_OVERRIDES and (match := _DASHED.fullmatch(arg)):
                plain.append(match[1])
                continue
            _refuse_infinite(arg, args[i - 1])
            plain.append(_at_home(arg))
        return list(super().parse_args(ctx, plain))

    def invoke(self, ctx: Any) -> Any:
        """Run the command; a mistake of the user gives a message and an exit code, never a traceback."""
        try:
            return super().invoke(ctx)
        except VidclsError as error:
            fail(error)
        except typer.BadParameter as error:
            # Remove the prefix of the library: the user only needs to know what is wrong.
            error.message = error.message.removeprefix("Value error, ")
            raise
        except BrokenPipeError:
            raise
        except OSError as error:
            if error.filename is None:
                raise
            hint = (
                "set runs_dir and store_dir to folders that you can write, and data.root to one that "
                "you can read"
            )
            fail(VidclsError(f"{error.filename}: {error.strerror}", hint=hint))
        except KeyboardInterrupt as error:
            ended = error if isinstance(error, Interruption) else Interruption(signal.SIGINT)
            say(ended)
            raise SystemExit(ended.exit_code) from None


def _refuse_infinite(arg: str, before: str) -> None:
    """Refuse NaN and infinity for an option, because they pass the range check of options."""
    option, _, value = arg.rpartition("=")
    option = option or (before if before.startswith("--") and "=" not in before else "")
    if _INFINITE.fullmatch(value) and _OPTION.fullmatch(option):
        _mistake(f"{option}: expected a finite number, got {value}")


def _at_home(arg: str) -> str:
    """Expand `~` in an argument or in `--option=VALUE`, which a shell does not expand after `=`."""
    match = _HOME.fullmatch(arg)
    if match is None:
        return arg
    try:
        return f"{match[1]}{expand_home(match[2])}"
    except ValueError as error:
        _mistake(f"{arg}: {error}")


def _mistake(message: str, *, hint: str | None = None) -> NoReturn:
    fail(UserError(message, hint=hint))


def fail(error: VidclsError) -> NoReturn:
    """Print an error to stderr, with what to do next, and exit with its code."""
    stopped = error.exit_code in (ExitCode.DONE, ExitCode.REQUEUE)
    head = typer.style("stopped" if stopped else "error", fg="yellow" if stopped else "red", bold=True)
    echo(error.message, err=True, head=f"{head}:\n" if "\n" in error.message else f"{head}: ")
    if error.hint:
        say(f"  {error.hint}")
    raise SystemExit(int(error.exit_code))


app = typer.Typer(
    cls=_Group,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="`vidcls glossary` explains terms such as leak state, rung or sealed.",
    help="Train, evaluate and compare video classifiers. One YAML file describes one experiment.",
)


def _version(value: bool) -> None:
    if value:
        from importlib.metadata import version

        echo(f"vidcls {version('vidcls')}")
        raise typer.Exit


@app.callback()
def _main(
    _: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Show the version and exit."
    ),
) -> None:
    compute_fast()


def _register() -> None:
    from vidcls.cli import (
        data,
        doctor,
        evaluate,
        explain,
        export,
        glossary,
        init,
        model,
        predict,
        spec,
        sweep,
        sync,
        train,
        weights,
    )
    from vidcls.cli.queue import check, hpc
    from vidcls.cli.study import compare, crossval, fuse, leak, ledger, mistakes, power, report, runs
    from vidcls.cli.sweep.race import race

    for command in (
        train.train,
        check.check,
        evaluate.evaluate,
        compare.compare,
        fuse.fuse,
        mistakes.mistakes,
        report.report,
        ledger.ledger,
        power.power,
        leak.leak,
        crossval.crossval,
        race,
        predict.predict,
        export.export,
        sync.sync,
        init.init,
        doctor.doctor,
        hpc.hpc,
        glossary.glossary,
        explain.explain,
    ):
        app.command()(command)
    groups = {"sweep": sweep, "spec": spec, "data": data, "model": model, "runs": runs, "weights": weights}
    for name, group in groups.items():
        app.add_typer(group.app, name=name, cls=_Commands)


_register()
