"""Damaged files of runs and sweeps are named, with what to do; nothing ends in a traceback, nor hides the rest."""

from __future__ import annotations

import json
import random
import shutil
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tests.support.fuzz import clear
from tests.support.sweeps import Search, work
from tests.support.training import Experiment, train_child
from vidcls.cli import app
from vidcls.errors import ExitCode
from vidcls.sweep.storage.folder import SweepFolder, find_sweeps

pytestmark = pytest.mark.long

_VALUES = (
    None, True, -1, 0, 1.5, 10**18, 10**400, 1e308, float("nan"), float("inf"), "", "x", "3", "a\0b", "~nobody/x", "../..",
    "\udcff", [], [None], [[]], {}, {"a": None}, {"": {}}, [[[[[[[[1]]]]]]]], "x" * 5000,
)  # fmt: skip
_CONTENTS = (
    b"", b"\n", b"{", b"null", b"[]", b"[1, 2]", b"3", b'"text"', b"NaN", b"\xff\xfe\x00", b"{}", b'{"": {}}', b"\0" * 100,
    b"[" * 100_000, b'{"a": ' * 100_000, b'{"a": ' + b"9" * 5000 + b"}", b"{} {}", b"<<<<<<< HEAD\n{}\n=======\n",
)  # fmt: skip
_CODES = {int(code) for code in ExitCode} - {int(ExitCode.REQUEUE)}


def run(*args: str | Path) -> Result:
    return CliRunner().invoke(app, [str(arg) for arg in args])


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, demo: Path) -> Path:
    """Runs: one that finished, one that was stopped, with what each holds."""
    experiment = Experiment(tmp_path_factory.mktemp("trained"), demo)
    assert train_child(experiment.spec(seed=0)) == 0
    assert train_child(experiment.spec(seed=1), die_at_step=7) != 0
    return experiment.folder / "runs"


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory, demo: Path) -> SweepFolder:
    """A sweep whose two trials are finished, and to whose workers something was said."""
    search = Search(Experiment(tmp_path_factory.mktemp("swept"), demo))
    file = search.file({"optim.lr": {"values": [0.001, 0.003]}}, settings={"train__epochs": 2})
    folder = search.frozen(file, gpu_hours=10.0, asha=True)
    work(folder)
    folder.control().say("pause")
    folder.control().say("resume")
    jobs = folder.path / "jobs"
    jobs.mkdir()
    submitted = {
        "name": "search-1",
        "num_tasks": 1,
        "num_workers": 1,
        "site": "here",
        "profile": {"queue": "local"},
        "folder": str(jobs),
        "inode": jobs.stat().st_ino,
    }
    (jobs / "0001.json").write_text(json.dumps(submitted))
    (jobs / "0001.job.json").write_text(json.dumps({"job": "1"}))
    return folder


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    children = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, child in children:
        yield from _places(child, (*path, key))


def _changed(value: Any, rng: random.Random) -> Any:
    """A value with another one, or none, at some place in it."""
    *parents, last = rng.choice([place for place in _places(value) if place] or [("x",)])
    inner = value
    for key in parents:
        inner = inner[key]
    if rng.random() < 0.2:
        inner.pop(last, None) if isinstance(inner, dict) else inner.pop()
    else:
        inner[last] = rng.choice(_VALUES)
    return value


def damaged(content: bytes, rng: random.Random) -> bytes:
    match rng.randrange(4):
        case 0:
            return rng.choice(_CONTENTS)
        case 1:
            return content[: rng.randrange(len(content) + 1)]
        case 2:
            at = rng.randrange(len(content) + 1)
            return content[:at] + rng.randbytes(rng.randint(1, 4)) + content[at:]
    lines = content.split(b"\n")  # of one object, or of one a line
    if content.startswith(b"{\n"):
        return json.dumps(_changed(json.loads(content), rng)).encode()
    number = rng.randrange(len(lines))
    if lines[number]:
        lines[number] = json.dumps(_changed(json.loads(lines[number]), rng)).encode()
    return b"\n".join(lines)


def faults(file: Path, commands: list[tuple[str | Path, ...]], rng: random.Random) -> list[str]:
    """What is wrong with how commands deal with a file that is damaged."""
    whole = file.read_bytes()
    wrong = damaged(whole, rng)
    found = []
    try:
        file.write_bytes(wrong)
        for command in commands:
            result = run(*command)
            about = f"{command[:2]} with {file.name}: {wrong[:200]!r}"
            if result.exception is not None and not isinstance(result.exception, SystemExit):
                lines = traceback.format_exception(result.exception)
                found.append(f"{about}\n{''.join(lines)[-1500:]}")
            elif result.exit_code not in _CODES:
                found.append(f"{about}: exit code {result.exit_code}")
            elif result.exit_code in (1, 2) and not clear(result.stderr.strip()):
                found.append(f"{about}: unclear: {result.stderr[:500]!r}")
    finally:
        file.write_bytes(whole)
    return found


def run_faults(root: Path, numbers: range) -> list[str]:
    files = sorted(file for pattern in ("*.json", "*.jsonl") for file in root.rglob(pattern))
    found = []
    for number in numbers:
        rng = random.Random(f"run {number}")
        file = rng.choice(files)
        folder = next(path for path in file.parents if (path / "spec.yaml").exists())
        commands: list[tuple[str | Path, ...]] = [("runs", "ls", root), ("runs", "show", folder)]
        if number % 10 == 0:
            commands += [("evaluate", folder), ("sync", folder)]
        found += faults(file, commands, rng)
    return found


def sweep_faults(folder: SweepFolder, numbers: range) -> list[str]:
    files = sorted(file for file in folder.path.rglob("*.json") if "code" not in file.parts)
    found = []
    for number in numbers:
        rng = random.Random(f"sweep {number}")
        commands: list[tuple[str | Path, ...]] = [
            ("sweep", "status", folder.path),
            ("sweep", "status", folder.path, "--json"),
            ("sweep", "best", folder.path, "--out", folder.path / "best.yaml", "--force"),
        ]
        if number % 10 == 0:
            commands += [
                ("sweep", "ls", folder.path.parents[1]),
                ("sweep", "clean", folder.path, "--keep", "2"),
            ]
        found += faults(rng.choice(files), commands, rng)
    return found


def test_a_damaged_file_of_a_run_is_no_traceback(trained: Path) -> None:
    assert run_faults(trained, range(25)) == []


def test_a_damaged_file_of_a_sweep_is_no_traceback(swept: SweepFolder) -> None:
    assert sweep_faults(swept, range(25)) == []


@pytest.mark.slow
def test_two_thousand_damaged_files_are_no_tracebacks(trained: Path, swept: SweepFolder) -> None:
    assert run_faults(trained, range(25, 1025)) + sweep_faults(swept, range(25, 1025)) == []


@pytest.mark.parametrize("name", ["status.json", "provenance.json"])
def test_a_damaged_file_of_a_run_is_named_and_the_others_are_listed(trained: Path, name: str) -> None:
    file = next(trained.rglob(name))
    whole = file.read_bytes()
    try:
        file.write_bytes(whole[:20])
        listed, shown = run("runs", "ls", trained, "--json"), run("runs", "show", file.parent)
    finally:
        file.write_bytes(whole)
    assert len(json.loads(listed.stdout)) == 1
    assert f"{file}: damaged: " in listed.stderr
    assert shown.exit_code == 1
    assert f"{file}: damaged: " in shown.stderr
    assert "restore this file, or" in shown.stderr


@pytest.mark.parametrize("name", ["trial.json", "lease-001.json", "end-001.json"])
def test_a_damaged_trial_is_told_as_failed_and_ends_no_worker(
    experiment: Experiment, tmp_path: Path, name: str
) -> None:
    search = Search(experiment)
    file = search.file({"optim.lr": {"values": [0.001, 0.003]}}, settings={"train__epochs": 1})
    folder = search.frozen(file)
    trials = folder.trials()
    trials.refresh()
    assert trials.add(0, configuration=0, repeat=0, point={"optim.lr": 0.001}, seed=0)
    lease = trials.claim(trials.refresh()[0], worker="another")
    assert lease is not None
    assert trials.end(lease, "released")
    wrong = folder.path / "trials" / "00000" / name
    whole = wrong.read_bytes()
    wrong.write_bytes(b'{"kind": "fini')
    work(folder)
    shown = run("sweep", "status", folder.path)
    assert shown.exit_code == ExitCode.PARTLY_DONE
    state = {trial.number: trial.state for trial in folder.trials().refresh()}
    assert state == {0: "failed", 1: "finished"}
    told = run("sweep", "retry", folder.path, "--trial", "0")
    assert told.exit_code == 1
    assert f"{wrong}: damaged: " in told.stderr
    wrong.write_bytes(whole)
    work(folder)
    assert {trial.state for trial in folder.trials().refresh()} == {"finished"}


@pytest.mark.parametrize("name", ["trial.json", "lease-001.json", "end-001.json", "rung-0001.json"])
def test_a_key_that_nobody_knows_is_passed_over(swept: SweepFolder, name: str) -> None:
    file = swept.path / "trials" / "00000" / name
    whole = file.read_text()
    before = run("sweep", "status", swept.path, "--json")
    try:
        file.write_text(whole.replace('"nonce"', '"nonce:2"'))
        shown = run("sweep", "status", swept.path, "--json")
    finally:
        file.write_text(whole)
    assert json.loads(shown.stdout)["counts"] == json.loads(before.stdout)["counts"]


def test_a_damaged_record_of_a_worker_or_a_word_is_a_note(swept: SweepFolder) -> None:
    gone = next(swept.path.glob("workers/*.gone.json"))
    record = gone.with_name(gone.name.replace(".gone", ""))
    for file in (gone, record, swept.path / "control/0001.json", swept.path / "jobs/0001.json"):
        whole = file.read_bytes()
        try:
            file.write_bytes(b"{")
            shown = run("sweep", "status", swept.path, "--json")
        finally:
            file.write_bytes(whole)
        assert shown.exit_code == 0, shown.output
        assert any(f"{file}: damaged: " in note for note in json.loads(shown.stdout)["notes"]), file


def test_a_sweep_whose_options_are_damaged_is_named(swept: SweepFolder, tmp_path: Path) -> None:
    copy = tmp_path / "sweeps" / "search-1"
    copy.mkdir(parents=True)
    shutil.copy(swept.options_file, copy)
    (copy / "options.json").write_bytes(b"[]")
    assert len(find_sweeps(tmp_path)) == 1
    shown = run("sweep", "status", copy)
    assert shown.exit_code in (1, 2)
    assert "Traceback" not in shown.output
