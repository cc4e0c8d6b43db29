"""What sites print around the answers of their queue: none of it makes us submit twice or call a live task dead."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.site import Site, site_in, wrapped
from tests.support.slurm import Slurm
from vidcls.errors import VidclsError
from vidcls.launch.answers import QueueSilentError
from vidcls.launch.job import Job
from vidcls.launch.lsf import LsfProfile
from vidcls.launch.queue import AnyProfile, Queue, open_queue
from vidcls.launch.slurm import SlurmProfile
from vidcls.launch.submissions import Submissions

_PROFILES: dict[str, AnyProfile] = {
    "slurm": SlurmProfile(queue="slurm", time="10", gpus={"count": 0}),
    "lsf": LsfProfile(queue="lsf", time="10", gpus={"count": 0}),
}
_ASKS = {"slurm": "squeue", "lsf": "bjobs"}
_SUBMITS = {"slurm": "sbatch", "lsf": "bsub"}
# What is true of job 10, an array of three of which two live.
_TRUTH = {
    "slurm": [
        "MARKARRAY_JOB_ID|ARRAY_TASK_ID|STATE|NODELIST|REASON",
        "MARK10|2|PENDING||Resources",
        "MARK10|0|RUNNING|node1|None",
    ],
    "lsf": [
        "JOBID|JOBINDEX|STAT|EXEC_HOST|PEND_REASON",
        "10|1|RUN|4*node1|-",
        "10|2|DONE|4*node1|-",
        "10|3|PEND|-|New job is waiting;",
    ],
}
_BY_NAME: dict[str, dict[str, Any]] = {
    "slurm": {"out": ["MARKARRAY_JOB_ID|NAME|", "MARKFOUND|ASKED|"]},
    "lsf": {"out": ["FOUND|ASKED[1]"], "err": ["NONEJob <ASKED> is not found"], "code_if_none": 255},
}
_TAKEN = {"slurm": "10", "lsf": "Job <10> is submitted to queue <hpc>."}
_BANNERS = [
    "charged to account 12345 (project dl-2026)",
    "12345",
    "12345;cluster",
    "Job <12345> is charged to account 10.",
    "sbatch: info: your job 12345 was submitted to partition cpu",
    "JOBID PARTITION NAME",
    "10|",
    "vidcls|10|0|COMPLETED|node1|None",
    "\x1b[1;33mwarning\x1b[0m: 1.234 von 5.000 Stunden",
    "الحساب ١٢٣٤٥",
    "",
    " ",
    "\x1b]0;title\x07",
    "{}",
    "slurm_load_jobs error: Unable to contact slurm controller (connect failure)",
]
_CLEARED = [HealthCheck.function_scoped_fixture]  # each example clears the site
_NOISE = st.lists(
    st.sampled_from(_BANNERS) | st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=30),
    max_size=3,
)
_COLOUR = st.sampled_from(["", "\x1b[0;32m", "\x1b[K", "\x1b]8;;x\x1b\\"])


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """Of one test: a real queue in the next one must not be hidden by these commands."""
    return site_in(tmp_path / "site", monkeypatch)


def _tasks(queue: Queue) -> list[tuple[str, str]] | str:
    try:
        return [(task.name, task.state) for task in queue.tasks(["10"])]
    except QueueSilentError:
        return "silent"


@pytest.mark.parametrize("kind", _PROFILES)
@settings(max_examples=20, suppress_health_check=_CLEARED)
@given(data=st.data())
def test_whatever_is_printed_around_an_answer_it_is_read_right_or_is_none(
    kind: str, site: Site, data: Any
) -> None:
    truth = [("10_0", "running"), ("10_2", "pending")]
    lines = [data.draw(_COLOUR) + line + data.draw(_COLOUR) for line in _TRUTH[kind]]
    head, *rows = lines
    out = [*data.draw(_NOISE), head, *data.draw(_NOISE), *rows, *data.draw(_NOISE)]
    code = data.draw(st.sampled_from([0, 0, 0, 1, 127, 255]))
    cut = data.draw(st.sampled_from([None, None, "head", "row"]))
    if cut == "head":
        out = [line for line in out if line != head] if kind == "slurm" else []
    elif cut == "row":
        index = max(index for index, line in enumerate(out) if line in rows)
        out = [*out[:index], out[index][: out[index].index("|") + 1 + len(lines[0]) % 2]]
    site.says(
        _ASKS[kind], out=out, err=data.draw(_NOISE), code=code, end=data.draw(st.sampled_from(["\n", "\r\n"]))
    )
    found = _tasks(open_queue(_PROFILES[kind]))
    assert found in ("silent", truth)
    noisy = any("10|" in line for line in out if line not in lines)
    if code == 0 and cut is None and not noisy:
        assert found == truth


@pytest.mark.parametrize(
    ("kind", "out", "err", "code", "expected"),
    [
        ("slurm", [], [], 0, "silent"),  # a wrapper that swallowed the answer
        ("slurm", ["MARKARRAY_JOB_ID|ARRAY_TASK_ID|STATE|NODELIST|REASON"], [], 0, []),
        ("slurm", ["MARKARRAY_JOB_ID|ARRAY_TASK_ID|STATE|NODELIST|REASON"], [], 1, "silent"),
        ("slurm", [], ["slurm_load_jobs error: Invalid job id specified"], 1, []),
        (
            "slurm",
            ["Welcome"],
            ["note", "\x1b[31mslurm_load_jobs error: Invalid job id specified\x1b[0m\r"],
            1,
            [],
        ),
        (
            "slurm",
            [],
            ["slurm_load_jobs error: Unable to contact slurm controller (connect failure)"],
            1,
            "silent",
        ),
        ("slurm", [], ["slurm_load_jobs error: Socket timed out on send/recv operation"], 1, "silent"),
        (
            "slurm",
            ["MARKARRAY_JOB_ID|ARRAY_TASK_ID|STATE|NODELIST|REASON", "MARK10|0|RUNNI"],
            [],
            0,
            "silent",
        ),
        (
            "slurm",
            ["MARKARRAY_JOB_ID|ARRAY_TASK_ID|STATE|NODELIST|REASON", "MARK1.010|0|RUNNING|n|None"],
            [],
            0,
            "silent",
        ),
        (
            "slurm",
            ["ARRAY_JOB_ID|ARRAY_TASK_ID|STATE|NODELIST|REASON", "10|0|RUNNING|n|None"],
            [],
            0,
            "silent",
        ),
        (
            "slurm",
            ["MARKARRAY_JOB_ID|ARRAY_TASK_ID|STATE|NODELIST|REASON", "MARK9|0|RUNNING|n|None"],
            [],
            0,
            [],
        ),
        (
            "slurm",
            ["MARKARRAY_JOB_ID|ARRAY_TASK_ID|STATE|NODELIST|REASON", "quota 90%MARK10|0|RUNNING|n|None"],
            [],
            0,
            [("10_0", "running")],
        ),
        (
            "slurm",
            ["MARKARRAY_JOB_ID|ARRAY_TASK_ID|STATE|NODELIST|REASON", "MARK10|N/A|NEW_STATE|n|a|b"],
            [],
            0,
            [("10", "pending")],
        ),
        ("lsf", [], [], 0, "silent"),
        ("lsf", [], ["Job <10> is not found"], 255, []),
        ("lsf", ["Welcome", "Job <10> is not found"], ["note"], 255, []),
        ("lsf", [], ["Job <101> is not found"], 255, "silent"),
        ("lsf", [], ["LSF is down. Please wait ..."], 255, "silent"),
        ("lsf", [], ["Failed in an LSF library call: Master LIM is down; try later"], 255, "silent"),
        ("lsf", ["10|0|DONE|node1|-"], [], 0, []),
        ("lsf", ["10|1|RUN|node1|-"], [], 255, "silent"),
        ("lsf", ["10|1|EXIT|node1|-", "10|2|RU"], [], 0, "silent"),
        ("lsf", ["110|0|RUN|node1|-"], ["Job <10> is not found"], 255, []),
        ("lsf", ["10|0|NEWSTATE|-|-"], [], 0, [("10", "running")]),
    ],
)
def test_an_answer_is_one_of_three(
    site: Site, kind: str, out: list[str], err: list[str], code: int, expected: object
) -> None:
    site.says(_ASKS[kind], out=out, err=err, code=code)
    assert _tasks(open_queue(_PROFILES[kind])) == expected


@pytest.mark.parametrize("kind", _PROFILES)
def test_a_queue_whose_command_is_not_there_does_not_answer(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    queue = open_queue(_PROFILES[kind])
    assert _tasks(queue) == "silent"
    with pytest.raises(QueueSilentError, match="this command is not installed here"):
        queue.submit(_job(tmp_path))
    (tmp_path / _ASKS[kind]).write_text("no program")
    (tmp_path / _ASKS[kind]).chmod(0o755)
    assert _tasks(queue) == "silent"


def _job(folder: Path) -> Job:
    return Job("some work", ("true",), folder, folder / "logs")


def _attempt(submissions: Submissions, job: Job, profile: AnyProfile) -> str | None:
    """What every command does that submits: look, and submit where nothing lives."""
    with submissions.claim(what="the work", say=print):
        seen = submissions.look_and_settle()
        if any(one.silent or one.tasks for one in seen):
            return None
        return submissions.submit(job, profile)


@pytest.mark.parametrize("kind", _PROFILES)
@settings(max_examples=8, suppress_health_check=_CLEARED)
@given(data=st.data())
def test_whatever_a_submission_prints_nothing_is_submitted_twice(
    kind: str, site: Site, tmp_path_factory: pytest.TempPathFactory, data: Any
) -> None:
    """The queue takes the job and says anything; asked, it says the truth, or nothing that is understood."""
    site.clear()
    folder, profile = tmp_path_factory.mktemp("work"), _PROFILES[kind]
    submissions = Submissions(folder / "jobs")
    taken = data.draw(st.lists(st.sampled_from([_TAKEN[kind], f"{_TAKEN[kind]};home"]), max_size=1))
    site.says(
        _SUBMITS[kind],
        out=[*data.draw(_NOISE), *taken, *data.draw(_NOISE)],
        err=data.draw(_NOISE),
        code=data.draw(st.sampled_from([0, 0, 1, 255])),
        end=data.draw(st.sampled_from(["\n", "\r\n"])),
    )
    said: list[str | None] = []
    answers = data.draw(st.lists(st.booleans(), min_size=3, max_size=3))
    for index, is_answer in enumerate(answers):
        by_name = _BY_NAME[kind] if is_answer else {"code": 1, "err": ["down"]}
        site.says_of(_ASKS[kind], tasks={"out": _TRUTH[kind]}, find=by_name)
        if index or is_answer:
            said.append(_attempt(submissions, _job(folder), profile))
        else:
            said.append(None)
            with pytest.raises(
                QueueSilentError, match="it is not known whether the job is in the queue"
            ) as caught:
                _attempt(submissions, _job(folder), profile)
            assert "shows the job, if it is in the queue" in str(caught.value)
        assert len(site.jobs) == 1
    # The first one that could ask knows its number; those after a silent one see that the job is there.
    assert said == ["10" if is_answer and not index else None for index, is_answer in enumerate(answers)]


@pytest.mark.long
@pytest.mark.parametrize("kind", _PROFILES)
def test_a_submission_is_refused_unclear_or_found(kind: str, site: Site, tmp_path: Path) -> None:
    site.clear()
    profile, ask = _PROFILES[kind], _ASKS[kind]
    submissions = Submissions(tmp_path / "jobs")
    site.says_of(ask, tasks={"out": _TRUTH[kind]}, find=_BY_NAME[kind])
    site.says(_SUBMITS[kind], err=["invalid account"], code=1, takes=False)
    with pytest.raises(VidclsError, match="refused the job: invalid account"):
        _attempt(submissions, _job(tmp_path), profile)
    assert submissions.all() == []
    # Exit code 0 and no job: an epilogue of the site took it away, or it has ended and was forgotten.
    site.says(_SUBMITS[kind], out=["ok"], takes=False)
    with pytest.raises(QueueSilentError, match="answered: ok; no job of this name is shown") as caught:
        _attempt(submissions, _job(tmp_path), profile)
    assert "looks for this job before it submits" in str(caught.value)
    site.says(_SUBMITS[kind], out=[_TAKEN[kind]])
    assert _attempt(submissions, _job(tmp_path), profile) == "10"
    assert [submission.job for submission in submissions.all()] == ["10"]
    assert len(site.jobs) == 1


_WRAPPERS: dict[str, tuple[str, str]] = {
    "a banner": ("sbatch", 'echo "charged to account 12345 (dl)"; "$real" "$@"; echo "12345"'),
    "a federation": ("sbatch", 'out=$("$real" "$@") && echo "$out;cluster"'),
    "colours": ("sbatch", 'printf "\\e[32m"; "$real" "$@"; printf "\\e[0m"'),
    "carriage returns": ("sbatch", '"$real" "$@" | sed "s/$/\\r/"'),
    "silence": ("sbatch", '"$real" "$@" >/dev/null'),
    "a failing epilogue": ("sbatch", '"$real" "$@" >&2; exit 3'),
    "warnings of squeue": ("squeue", 'echo "squeue: 1.234 Jobs"; echo warning >&2; "$real" "$@"; echo bye'),
}


@pytest.mark.parametrize("name", _WRAPPERS)
def test_a_real_queue_behind_a_wrapper_is_understood(
    slurm: Slurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    command, shell = _WRAPPERS[name]
    wrapped(command, shell, tmp_path / "bin", monkeypatch)
    monkeypatch.setenv("SQUEUE_STATES", "COMPLETED")  # a habit of a person, which would hide what runs
    monkeypatch.setenv("SBATCH_JOB_NAME", "mine")
    queue, sleeps = open_queue(slurm.profile()), Job("x", ("sleep", "600"), tmp_path, tmp_path / "logs", 2)
    job = queue.submit(sleeps)
    assert f"JobId={job} ArrayJobId={job}" in slurm.control("show", "job", job)
    assert {task.name for task in queue.tasks([job])} == {f"{job}_0", f"{job}_1"}


def test_a_slurm_that_is_down_does_not_answer(
    slurm: Slurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_CONF", str(slurm.unreachable(tmp_path)))
    assert _tasks(open_queue(slurm.profile())) == "silent"
