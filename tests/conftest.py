"""What all tests share."""

from __future__ import annotations

import os
import signal
from collections import defaultdict
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support.awkward import train_awkward
from tests.support.lsf.fixture import Lsf, lsf_in
from tests.support.roots import Clip, make_clips
from tests.support.slurm import Slurm, slurm_cluster
from tests.support.training import Experiment
from tests.support.wandb_server import serve
from tests.support.wandb_state import WandbServer
from vidcls.process.speed import compute_fast
from vidcls.run.folder import Run

compute_fast()  # as the command line does, before torch is loaded

# A busy machine is slow, not wrong.
settings.register_profile("vidcls", deadline=None)
settings.load_profile("vidcls")
# Whatever started the tests, as `nohup` or `&` in a script does, may have wanted them ignored.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


_SERVICES = {"slurm", "lsf", "desk", "wandb_server"}


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark what needs a service."""
    if _SERVICES & set(getattr(item, "fixturenames", ())):
        item.add_marker("long")


@pytest.hookimpl(trylast=True)  # once those that are not wanted are gone
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Each worker begins with its share of the long tests, so that none of them is left for the end.

    At first xdist gives each worker as many tests that follow one another; who is done takes of another's last.
    """
    num_workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    by_file: dict[Path, list[pytest.Item]] = defaultdict(list)
    for item in items:
        if item.get_closest_marker("long"):
            by_file[item.path].append(item)
    short = iter([item for item in items if not item.get_closest_marker("long")])
    files = sorted(by_file.values(), key=len, reverse=True)
    ordered: list[pytest.Item] = []
    for number in range(num_workers):
        share = [item for file in files[number::num_workers] for item in file]
        ordered += [*share, *islice(short, max(0, len(items) // num_workers - len(share)))]
    items[:] = [*ordered, *short]


@pytest.fixture(autouse=True, scope="session")
def _own_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tests remember nothing in the home of whoever runs them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Small tensors gain nothing from threads, and tests run side by side."""
    import torch  # not where no test computes

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def _beside_others() -> Iterator[None]:
    """A test leaves its process as it found it: what becomes a real-time one stops the tests beside it."""
    yield
    assert os.sched_getscheduler(0) == os.SCHED_OTHER


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> tuple[Clip, ...]:
    """Eighteen encoded clips of three classes, to be laid out by `tests.support.roots.build`."""
    return make_clips(tmp_path_factory.mktemp("clips"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder with the real videos (VIDCLS_SHARED, or `shared` beside the repository); skips where absent."""
    folder = Path(os.environ.get("VIDCLS_SHARED", Path(__file__).resolve().parents[2] / "shared"))
    if not (folder / "ufc10").is_dir():
        pytest.skip(f"no real videos in {folder}; set VIDCLS_SHARED to the folder that holds ufc10")
    return folder


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty training, twenty val and twenty test clips of motion10."""
    from vidcls.data.demo import Amount, make_demo_of

    folder = tmp_path_factory.mktemp("demo") / "motion10"
    make_demo_of(Amount(train=1, val=1, test=1, clips=2), folder, seed=0)
    return folder


@pytest.fixture(scope="session")
def awkward(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run on classes with awkward names, of which one val video cannot be read; a test must not change it."""
    return train_awkward(tmp_path_factory.mktemp("awkward"))


@pytest.fixture(scope="session")
def decoded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that tests share which are marked so: what one has decoded, the next one finds."""
    return tmp_path_factory.mktemp("decoded")


@pytest.fixture
def experiment(request: pytest.FixtureRequest, tmp_path: Path, demo: Path, decoded: Path) -> Experiment:
    """An experiment on the small demo data."""
    return Experiment(tmp_path, demo, store=decoded if request.node.get_closest_marker("decoded") else None)


@pytest.fixture
def wandb_server() -> Iterator[WandbServer]:
    """A stand-in for the Weights & Biases server on this machine."""
    with serve() as server:
        yield server


@pytest.fixture(scope="session")
def _slurm_cluster() -> Iterator[Slurm]:
    with slurm_cluster() as cluster:
        yield cluster


@pytest.fixture
def slurm(_slurm_cluster: Slurm, monkeypatch: pytest.MonkeyPatch) -> Iterator[Slurm]:
    """A real SLURM on this machine; the commands of this process speak to it. Jobs end with the test."""
    monkeypatch.setenv("SLURM_CONF", str(_slurm_cluster.conf))
    yield _slurm_cluster
    _slurm_cluster.clear()


@pytest.fixture
def lsf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lsf]:
    """`bsub`, `bjobs` and `bkill` on PATH; its time passes when the test says so."""
    with lsf_in(tmp_path, monkeypatch) as stand_in:
        yield stand_in
