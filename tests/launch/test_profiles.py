"""Profiles: what they may say, and what is said about what they may not."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from tests.support.lsf.fixture import Lsf
from tests.support.slurm import Slurm
from vidcls.errors import UserError
from vidcls.launch.local import LocalProfile
from vidcls.launch.lsf import LsfProfile
from vidcls.launch.profiles import find_profile, load_profile, profile_of
from vidcls.launch.slurm import SlurmProfile

_SHIPPED = sorted((Path(__file__).parents[2] / "slurm").glob("*.yaml"))


def test_paths_of_a_profile_begin_in_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert _load(tmp_path, "queue: local\nscratch: ~/big\n").venv_dir == tmp_path / "big" / "venv"


def _load(folder: Path, text: str) -> SlurmProfile | LsfProfile | LocalProfile:
    (folder / "mine.yaml").write_text(text)
    return load_profile(folder / "mine.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("time: 10", "mine.yaml:1: queue: required, but not set; allowed: slurm, lsf, local"),
        ("queue: pbs", "mine.yaml:1: queue: unknown queue 'pbs'; allowed: slurm, lsf, local"),
        ("queue: slurm", "mine.yaml:1: time: required, but not set"),
        (
            "queue: slurm\ntime: 10\npartitoin: gpu",
            "mine.yaml:3: partitoin: unknown key; did you mean partition?",
        ),
        (
            "queue: slurm\ntime: 10\nqueue_name: x",
            "mine.yaml:3: queue_name: has no effect here: SLURM has partitions",
        ),
        ("queue: slurm\ntime: 10\napp: x", "app: has no effect here: application profiles are for LSF"),
        (
            "queue: slurm\ntime: 10\ngpu_mode: shared",
            "gpu_mode: has no effect here: with SLURM, all processes",
        ),
        ("queue: lsf\ntime: 10\npartition: x", "partition: has no effect here: partitions are for SLURM"),
        ("queue: lsf\ntime: 10\nqos: x", "qos: has no effect here"),
        ("queue: local\ntime: 10", "mine.yaml:2: time: has no effect here: this machine has no queue"),
        (
            "queue: slurm\ntime: 1:30",
            "mine.yaml:2: time: write HH:MM:SS, D-HH:MM:SS or whole minutes, got '1:30'",
        ),
        ("queue: slurm\ntime: '00:00:10'", "time: must be at least one minute"),
        (f"queue: slurm\ntime: {'9' * 5000}", "mine.yaml:2: time: a number of 5,000 digits"),
        (
            f"queue: slurm\ntime: '{'9' * 5000}'",
            "mine.yaml:2: time: write HH:MM:SS, D-HH:MM:SS or whole minutes",
        ),
        (
            "queue: slurm\ntime: '٣٠'",
            "mine.yaml:2: time: write HH:MM:SS, D-HH:MM:SS or whole minutes, got '٣٠'",
        ),
        (f"queue: slurm\ntime: 10\nmemory: {'9' * 400}.0GB", "memory: write megabytes or gigabytes per job"),
        (
            "queue: slurm\ntime: 10\nscratch: ~nosuchuser/x",
            "mine.yaml:3: scratch: there is no user nosuchuser here",
        ),
        (
            'queue: slurm\ntime: 10\nvenv: "/a\\0b"',
            "mine.yaml:3: venv: a path cannot contain a NUL character",
        ),
        ('queue: local\nsetup: ["a\\0b"]', "mine.yaml:2: setup[0]: contains a NUL character"),
        ('queue: local\nenv: {A: "a\\0b"}', "mine.yaml:2: env.A: contains a NUL character"),
        ("queue: [slurm]", 'mine.yaml:1: queue: unknown queue ["slurm"]; allowed'),
        ("queue: slurm\ntime: 10\nmemory: 16", "memory: expected text; put it in quotes, got 16"),
        ("queue: slurm\ntime: 10\nmemory: 16TB", "memory: write megabytes or gigabytes per job"),
        ("queue: slurm\ntime: 10\ngpus: {number: 1}", "gpus.number: unknown key; allowed: count, type, mig"),
        (
            "queue: slurm\ntime: 10\ngpus:\n  cout: 1",
            "mine.yaml:4: gpus.cout: unknown key; did you mean count?",
        ),
        (
            "queue: slurm\ntime: 10\ngpus: {count: -1}",
            "gpus.count: must be greater than or equal to 0, got -1",
        ),
        (
            "queue: slurm\ntime: 10\ngpus: {count: 0, type: a100}",
            "gpus.count: with 0 GPUs, type and mig have no effect",
        ),
        (
            "queue: slurm\ntime: 2\nwarn_s: 120",
            "mine.yaml:3: warn_s: 120 s is not shorter than the time limit of 2",
        ),
        ("queue: slurm\ntime: 10\npartition: 'a b; rm'", "partition: expected one word of letters"),
        ("queue: lsf\ntime: 10\ngpus: {mig: 1g.10gb}", "gpus.mig: with LSF, write a number of slices"),
        (
            "queue: lsf\ntime: 10\nnotify: {email: a@b.c, on: [fail]}",
            "notify.on: LSF cannot send mails only for failed jobs",
        ),
        ("queue: lsf\ntime: 10\nnotify: {email: a b}", "notify.email: "),
        ("queue: local\nvenv: venv", "venv: expected an absolute path, such as"),
        ("queue: local\nvenv: /x/$NO_SUCH", "venv: '/x/$NO_SUCH' contains a variable that is not set here"),
        ("queue: local\nenv: {WANDB_API_KEY: x}", "env: WANDB_API_KEY would be written into scripts"),
        ("queue: local\nenv: {HF_TOKEN: x}", "env: HF_TOKEN would be written into scripts; `hf auth login`"),
        (
            "queue: local\nsetup: [module load x, export WANDB_API_KEY=x]",
            "mine.yaml:2: setup[1]: WANDB_API_KEY would be written into scripts; `wandb login` stores the key",
        ),
        ("queue: local\nsetup: ['unset A; read HF_TOKEN <<<x']", "setup[0]: HF_TOKEN would be written"),
        (
            "queue: local\nsetup: ['wandb login --relogin 0123456789abcdef0123456789abcdef01234567']",
            "setup[0]: a key would be written into scripts; log in once",
        ),
        ("queue: local\nenv: {A-B: x}", "env: 'A-B' is not a valid name of a variable"),
    ],
)
def test_mistakes_are_named_with_file_and_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        _load(tmp_path, text)
    assert message in str(caught.value)


def test_setup_may_take_a_key_away(tmp_path: Path) -> None:
    lines = ["unset WANDB_API_KEY", "unset -v HF_TOKEN", "export MY_WANDB_API_KEY_FILE=x", "wandb login"]
    assert list(_load(tmp_path, f"queue: local\nsetup: {lines}").setup) == lines


def test_every_mistake_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        _load(tmp_path, "queue: slurm\ntime: soon\nmemory: much\ncpu: 3")
    assert len(str(caught.value).splitlines()) == 3


@pytest.mark.parametrize(
    ("text", "time_s"), [("90", 5400), ("01:30:00", 5400), ("1-02:00:30", 93630), ("100:00:00", 360000)]
)
def test_times_are_read_as_queues_read_them(tmp_path: Path, text: str, time_s: int) -> None:
    assert _load(tmp_path, f"queue: slurm\ntime: {text}").time_s == time_s


def test_memory_is_of_the_job(tmp_path: Path) -> None:
    assert _load(tmp_path, "queue: slurm\ntime: 10\nmemory: 1.5GB").memory_mb == 1536
    assert _load(tmp_path, "queue: lsf\ntime: 10\nmemory: 700MB").memory_mb == 700


@pytest.mark.parametrize("path", _SHIPPED, ids=lambda path: path.stem)
def test_shipped_profiles_are_right_and_survive_being_stored(
    monkeypatch: pytest.MonkeyPatch, path: Path
) -> None:
    monkeypatch.setenv("USER", "student")
    profile = load_profile(path)
    assert profile_of(profile.model_dump(mode="json")) == profile


def test_a_venv_on_scratch_gives_the_interpreter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USER", "student")
    profile = _load(tmp_path, "queue: local\nscratch: /scratch/$USER")
    assert profile.python == "/scratch/student/venv/bin/python"
    assert LocalProfile().venv_dir is None


def test_packing_needs_a_gpu_that_can_be_shared() -> None:
    usual = LsfProfile(queue="lsf", time="10")
    assert usual.packed(1) == usual
    assert usual.packed(2).gpu_mode == "shared"
    for mode, count, message in (("exclusive", 1, "cannot run with gpu_mode"), (None, 0, "requests no GPU")):
        profile = LsfProfile.model_validate({"queue": "lsf", "time": "10", "gpus": {"count": count}})
        with pytest.raises(UserError, match=message):
            profile.model_copy(update={"gpu_mode": mode}).packed(2)


def test_profiles_are_found_by_name_and_by_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "slurm").mkdir()
    (tmp_path / "slurm" / "titan.yaml").write_text("queue: slurm\ntime: 10\npartition: titan")
    for name in ("titan", "slurm/titan.yaml"):
        profile = find_profile(name)
        assert isinstance(profile, SlurmProfile)
        assert profile.partition == "titan"
    with pytest.raises(UserError, match="did you mean titan"):
        find_profile("titn")
    with pytest.raises(UserError, match=r"nothing\.yaml: no such file"):
        find_profile("slurm/nothing.yaml")


def test_without_a_name_the_queue_of_this_machine_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slurm: Slurm
) -> None:
    monkeypatch.chdir(tmp_path)
    assert isinstance(find_profile(), SlurmProfile)
    (tmp_path / "slurm").mkdir()
    (tmp_path / "slurm" / "titan.yaml").write_text("queue: slurm\ntime: 10")
    with pytest.raises(UserError, match="slurm/ has profiles titan, generic for it"):
        find_profile()
    # The commands alone make no cluster.
    monkeypatch.delenv("SLURM_CONF")
    if not Path("/etc/slurm/slurm.conf").exists():
        assert isinstance(find_profile(), LocalProfile)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert isinstance(find_profile(), LocalProfile)


def test_lsf_is_found_by_its_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lsf: Lsf) -> None:
    bsub = tmp_path / "only" / "bsub"
    bsub.parent.mkdir()
    bsub.write_text("")
    bsub.chmod(bsub.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(bsub.parent))
    monkeypatch.setenv("USER", "student")
    assert isinstance(find_profile(), LsfProfile)
