"""`bsub`, `bjobs`, `bkill`, `bqueues` and `lsid` of the stand-in. Its state is a folder, LSF_STAND_IN; a job is a folder in it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.support.lsf.options import QUEUES, RefusedError, parse

_NOT_OURS = 255


def bsub() -> int:
    """Take a script from standard input, print its number, and return; the job runs by itself."""
    script = sys.stdin.buffer.read()
    try:
        options = parse(script.decode(errors="surrogateescape"))
    except RefusedError as error:
        print(error, file=sys.stderr)
        return _NOT_OURS
    job = 101
    while True:
        try:
            (_root() / str(job)).mkdir()
            break
        except FileExistsError:
            job += 1
    folder = _root() / str(job)
    (folder / "script").write_bytes(script)
    (folder / "env.json").write_text(json.dumps(dict(os.environ)))
    (folder / "cwd.json").write_text(json.dumps(str(Path.cwd())))
    for number in [0] if options.last is None else range(1, options.last + 1):
        (folder / f"element-{number}.json").write_text('{"state": "PEND", "code": null, "pid": null}')
    runner = subprocess.Popen(
        [sys.executable, "-m", "tests.support.lsf.runner", str(folder)],
        cwd=Path(__file__).parents[3],
        stdin=subprocess.DEVNULL,
        stdout=(folder / "runner.log").open("wb"),
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    (folder / "runner.pid").write_text(str(runner.pid))
    print(f"Job <{job}> is submitted to queue <{options.queue}>.")
    return 0


def bjobs(arguments: list[str]) -> int:
    """`bjobs -o "COLUMNS delimiter='|'" JOB...`, and `bjobs -a -J NAME -o ...`."""
    if arguments[:2] == ["-a", "-J"]:
        return _bjobs_by_name(*arguments[2:])
    flag, columns, *jobs = arguments
    assert (flag, columns) == ("-o", "jobid jobindex stat exec_host pend_reason delimiter='|'")
    rows, code = [], 0
    for text in jobs:
        found = list(_elements(text))
        if not found:
            print(f"Job <{text}> is not found", file=sys.stderr)
            code = _NOT_OURS
        for folder, number in found:
            state = _state(folder, number)["state"]
            host = f"4*{os.uname().nodename}" if state == "RUN" else "-"
            reason = "New job is waiting for scheduling;" if state == "PEND" else "-"
            rows.append(f"{folder.name}|{number}|{state}|{host}|{reason}")
    if rows:
        print("JOBID|JOBINDEX|STAT|EXEC_HOST|PEND_REASON", *rows, sep="\n")
    return code


def _bjobs_by_name(name: str, flag: str, columns: str) -> int:
    assert (flag, columns) == ("-o", "jobid job_name delimiter='|'")
    rows = []
    for script in sorted(_root().glob("*/script")):
        options = parse(script.read_text(errors="surrogateescape"))
        if options.name == name:
            numbers = [None] if options.last is None else range(1, options.last + 1)
            rows += [f"{script.parent.name}|{name}{'' if n is None else f'[{n}]'}" for n in numbers]
    if not rows:
        print(f"Job <{name}> is not found", file=sys.stderr)
        return _NOT_OURS
    print("JOBID|JOB_NAME", *rows, sep="\n")
    return 0


def bkill(arguments: list[str]) -> int:
    """`bkill [-s SIGNAL] JOB...`; without a signal the job is ended: INT, TERM, KILL."""
    sent = None
    if arguments[0] == "-s":
        sent, arguments = signal.Signals[f"SIG{arguments[1]}"], arguments[2:]
    code = 0
    for text in arguments:
        found = list(_elements(text))
        if not found:
            print(f"Job <{text}> is not found", file=sys.stderr)
            code = _NOT_OURS
        for folder, number in found:
            state = _state(folder, number)
            if state["state"] in ("DONE", "EXIT"):
                print(f"Job <{folder.name}[{number}]>: Job has already finished", file=sys.stderr)
                code = _NOT_OURS
            elif sent is None:
                (folder / f"kill-{number}").touch()
            elif state["state"] == "RUN":
                os.killpg(state["pid"], sent)
    return code


def bqueues(arguments: list[str]) -> int:
    """`bqueues [QUEUE...]`."""
    if unknown := [name for name in arguments if name not in QUEUES]:
        print(f"{unknown[0]}: No such queue", file=sys.stderr)
        return _NOT_OURS
    print("QUEUE_NAME      PRIO STATUS          MAX JL/U JL/P JL/H NJOBS  PEND   RUN  SUSP")
    for name in arguments or QUEUES:
        status = "Closed:Active" if (_root() / f"{name}.closed").exists() else "Open:Active"
        print(f"{name:<15} 30   {status:<15}   -    -    -    -     0     0     0     0")
    return 0


def lsid(_: list[str]) -> int:
    """`lsid`."""
    print("IBM Spectrum LSF Standard 10.1.0.0\n\nMy cluster name is stand-in\nMy master name is here")
    return 0


def _root() -> Path:
    return Path(os.environ["LSF_STAND_IN"])


def _elements(text: str) -> Iterator[tuple[Path, int]]:
    match = re.fullmatch(r"(\d+)(?:\[(\d+)\])?", text)
    assert match is not None, text
    folder = _root() / match[1]
    numbers = sorted(int(path.stem.split("-")[1]) for path in folder.glob("element-*.json"))
    yield from ((folder, number) for number in numbers if match[2] in (None, str(number)))


def _state(folder: Path, number: int) -> dict[str, str | int]:
    return dict(json.loads((folder / f"element-{number}.json").read_text()))


if __name__ == "__main__":
    command, *rest = sys.argv[1:]
    verbs = {"bsub": lambda _: bsub(), "bjobs": bjobs, "bkill": bkill, "bqueues": bqueues, "lsid": lsid}
    raise SystemExit(verbs[command](rest))
