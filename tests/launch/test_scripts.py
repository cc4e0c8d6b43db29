"""Scripts as text, and what bash makes of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidcls.errors import UserError
from vidcls.launch.job import Job
from vidcls.launch.local import LocalProfile
from vidcls.launch.lsf import LsfProfile
from vidcls.launch.profiles import load_profile
from vidcls.launch.queue import AnyProfile, open_queue
from vidcls.launch.slurm import SlurmProfile

_SHIPPED = Path(__file__).parents[2] / "slurm"
_GOLDEN = Path(__file__).parent / "golden"
_COMMAND = (
    "/opt/vidcls/bin/python",
    "-m",
    "vidcls",
    "train",
    "experiments/late fusion.yaml",
    "optim.lr=3e-4",
)
_PROFILES: dict[str, AnyProfile] = {
    "slurm": SlurmProfile(queue="slurm", time="10", gpus={"count": 0}),
    "lsf": LsfProfile(queue="lsf", time="10", gpus={"count": 0}),
    "local": LocalProfile(),
}
# What a queue would set.
_MARKS = {
    "SLURM_JOB_ID": "7",
    "SLURM_ARRAY_JOB_ID": "7",
    "SLURM_ARRAY_TASK_ID": "0",
    "LSB_JOBID": "7",
    "LSB_JOBINDEX": "1",
}
_SAY = 'for word in "$@" "$VALUE" "$PWD"; do printf "%s\\0" "$word"; done'
_NASTY = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
_SHELL = st.text("'\"$()`\\\n;&|<>*?~!#%-= ab", max_size=20)
_WORD = _NASTY | _SHELL


def _golden_job(num_tasks: int | None) -> Job:
    return Job(
        name="late fusion: lr & seed",
        command=_COMMAND,
        folder=Path("/home/student/project"),
        log_dir=Path("/home/student/my project/logs"),
        num_tasks=num_tasks,
        env={"OMP_NUM_THREADS": "4", "NOTE": "it's $5"},
    )


@pytest.mark.parametrize("num_tasks", [None, 8])
@pytest.mark.parametrize("name", ["generic", "c02516", "local", "everything-slurm", "everything-lsf"])
def test_scripts_are_as_they_were(monkeypatch: pytest.MonkeyPatch, name: str, num_tasks: int | None) -> None:
    """After a wanted change: VIDCLS_WRITE_GOLDEN=1 pytest tests/launch/test_scripts.py, and read the diff."""
    monkeypatch.setenv("USER", "student")
    shipped = _SHIPPED / f"{name}.yaml"
    profile = load_profile(shipped if shipped.is_file() else _GOLDEN / f"{name}.yaml")
    script = open_queue(profile).script(_golden_job(num_tasks))
    golden = _GOLDEN / f"{name}{'' if num_tasks is None else '-array'}.sh"
    if os.environ.get("VIDCLS_WRITE_GOLDEN"):
        golden.write_text(script)
    assert script == golden.read_text()
    subprocess.run(["bash", "-n", str(golden)], check=True)


def _bash(script: str, folder: Path) -> subprocess.CompletedProcess[bytes]:
    path = folder / "script"
    path.write_bytes(script.encode())
    return subprocess.run(["bash", str(path)], env=os.environ | _MARKS, capture_output=True, check=False)


@pytest.mark.parametrize("kind", _PROFILES)
@settings(max_examples=25)
@given(words=st.lists(_WORD, max_size=4), value=_WORD, name=_WORD, folder=_WORD)
def test_no_name_and_no_value_is_read_as_shell(
    tmp_path_factory: pytest.TempPathFactory,
    kind: str,
    words: list[str],
    value: str,
    name: str,
    folder: str,
) -> None:
    base = tmp_path_factory.mktemp("base")
    place = base / ("x" + folder.replace("/", "_"))
    place.mkdir()
    job = Job(name, ("/bin/sh", "-c", _SAY, "sh", *words), place, base / "logs", 1, {"VALUE": value})
    queue = open_queue(_PROFILES[kind])
    script = queue.script(job)
    plain = queue.script(Job("x", ("true",), base, base / "logs", 1))
    heads = [[line for line in text.splitlines() if line.startswith("#")] for text in (script, plain)]
    assert len([line for line in heads[0] if line[:6] in ("#SBATC", "#BSUB ")]) == len(
        [line for line in heads[1] if line[:6] in ("#SBATC", "#BSUB ")]
    )
    said = _bash(script, base).stdout
    if kind == "local":
        (log,) = (base / "logs").iterdir()
        said = log.read_bytes()
    assert said.decode().split("\0")[:-1] == [*words, value, str(place)]


@pytest.mark.parametrize("kind", _PROFILES)
def test_the_first_word_is_a_program_and_nothing_else(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, kind: str
) -> None:
    scripts = tmp_path_factory.mktemp("scripts")
    for number, program in enumerate(["if", "A=1", "-x", "two words", "$(touch no)"]):
        script = open_queue(_PROFILES[kind]).script(Job("x", (program,), tmp_path, tmp_path / "logs"))
        done = _bash(script, scripts)
        assert done.returncode == 127, (number, program, done.stderr)
    assert [path.name for path in tmp_path.iterdir() if path.name != "logs"] == []


@pytest.mark.parametrize("kind", ["slurm", "lsf"])
@pytest.mark.parametrize("folder", ["/a\nb", '/a"b', "/a%Jb", "/a$b", "relative", "/a\\b"])
def test_logs_go_where_a_queue_can_write_them(kind: str, folder: str) -> None:
    with pytest.raises(UserError, match="queues cannot write logs to this path"):
        open_queue(_PROFILES[kind]).script(Job("x", ("true",), Path("/tmp"), Path(folder)))


@pytest.mark.parametrize("kind", _PROFILES)
def test_what_no_script_may_hold_is_refused(kind: str) -> None:
    queue, place = open_queue(_PROFILES[kind]), Path("/tmp")
    for env, message in (
        ({"WANDB_API_KEY": "x"}, "would be written into the script"),
        ({"A;B": "x"}, "not a valid name of a variable"),
        ({"A": "\0"}, "NUL byte"),
    ):
        with pytest.raises(UserError, match=message):
            queue.script(Job("x", ("true",), place, place / "logs", env=env))


def test_a_warning_is_never_lost(tmp_path: Path) -> None:
    """The shell and the command get the signal at once, as under a preemption; the exit code stays 75."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "scontrol").write_text(f"#!/bin/sh\necho \"$@\" >>'{tmp_path}/requeued'\n")
    (programs / "scontrol").chmod(0o755)
    waits = "trap 'exit 75' USR1; echo ready; while :; do sleep 0.01; done"
    script = open_queue(_PROFILES["slurm"]).script(
        Job("x", ("/bin/bash", "-c", waits), tmp_path, tmp_path / "logs")
    )
    environment = os.environ | _MARKS | {"PATH": f"{programs}:{os.environ['PATH']}"}
    num_times = 25
    for _ in range(num_times):
        with subprocess.Popen(
            ["bash", "-c", script], env=environment, stdout=subprocess.PIPE, start_new_session=True
        ) as shell:
            assert shell.stdout is not None
            assert shell.stdout.readline() == b"ready\n"
            os.killpg(shell.pid, signal.SIGUSR1)
            assert shell.wait() == 75
    assert (tmp_path / "requeued").read_text() == "requeue 7\n" * num_times


def test_rendering_imports_nothing_heavy() -> None:
    code = (
        "import sys, vidcls.launch.queue, vidcls.launch.profiles\n"
        "print([m for m in ('torch', 'wandb', 'optuna', 'sklearn', 'numpy', 'matplotlib') if m in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "[]\n"
