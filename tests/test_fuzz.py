"""Wrong specs, sweep files, profiles, tables and overrides: each is refused in clear words, and soon."""

from __future__ import annotations

import random
import traceback
from pathlib import Path

import pytest

from tests.support.fuzz import LIMIT_S, NASTY, TooSlowError, clear, limited, special_files, wrong_text
from vidcls.data.manifest import read_manifest
from vidcls.errors import UserError
from vidcls.launch.profiles import load_profile
from vidcls.spec.data import DataSection
from vidcls.spec.keys import all_keys
from vidcls.spec.load import load_spec
from vidcls.spec.show import to_yaml
from vidcls.sweep.config.check import check_against_spec
from vidcls.sweep.config.description import describe
from vidcls.sweep.config.file import load_sweep

_ROOT = Path(__file__).parents[1]
_SPECS = (
    "name: x\nmodel: {kind: cnn3d}\n",
    "extends: base.yaml\nname: x\noptim: {lr: 3e-4, betas: [0.9, 0.99]}\ndata:\n  root: data\n  flip_labels: {a: b}\n",
    *(path.read_text() for path in sorted((_ROOT / "experiments").glob("*.yaml"))),
)
_SWEEPS = tuple(path.read_text() for path in sorted((_ROOT / "sweeps").glob("*.yaml")))
_PROFILES = tuple(path.read_text() for path in sorted((_ROOT / "slurm").glob("*.yaml")))
_TABLES = (
    "path,label,split\na.mp4,left,train\nb.mp4,right,train\nc.mp4,left,val\n",
    "path,label,split,group,label_id\na.mp4,1,train,g1,0\nb.mp4,2,train,g2,1\nc.mp4,1,test,g1,0\nd.mp4,2,val,,1\n",
)
_OVERRIDES = tuple(f"{key}=1" for key in all_keys())


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what wrong files may name."""
    monkeypatch.chdir(tmp_path)
    special_files(tmp_path)
    Path("base.yaml").write_text("name: base\nmodel: {kind: late_fusion}\n")
    (tmp_path / "experiments").symlink_to(_ROOT / "experiments")
    for name in "abcd":
        Path(f"{name}.mp4").write_text(name)
    return tmp_path


def _spec(rng: random.Random, path: Path) -> None:
    path.write_bytes(wrong_text(_SPECS, rng))
    _round_trip(path, [])


def _override(rng: random.Random, path: Path) -> None:
    path.write_text(rng.choice(_SPECS[:2]))
    keys = (*_OVERRIDES, *NASTY)
    _round_trip(path, [_altered(rng.choice(keys), rng) for _ in range(rng.randint(1, 3))])


def _altered(override: str, rng: random.Random) -> str:
    return f"{override.partition('=')[0]}={rng.choice(NASTY)}"


def _round_trip(path: Path, overrides: list[str]) -> None:
    spec = load_spec(path, overrides).spec
    written = path.with_name("written.yaml")
    written.write_text(to_yaml(spec))
    assert load_spec(written).spec == spec


def _sweep(rng: random.Random, path: Path) -> None:
    path.write_bytes(wrong_text(_SWEEPS, rng))
    sweep = load_sweep(path, engine=rng.choice(("serverless", "wandb")))
    describe(sweep)
    check_against_spec(sweep)


def _profile(rng: random.Random, path: Path) -> None:
    path.write_bytes(wrong_text(_PROFILES, rng))
    profile = load_profile(path)
    assert profile.time_s is None or profile.time_s > 0
    assert profile.memory_mb is None or profile.memory_mb > 0


def _table(rng: random.Random, path: Path) -> None:
    path = path.with_suffix(".csv")
    text = wrong_text(_TABLES, rng)
    path.write_bytes(text.replace(b",", rng.choice((b",", b",", b",", b";", b"\t", b",,"))))
    manifest = read_manifest(DataSection(root=str(path)), cache_dir=None)
    manifest.write_csv(path.with_name("written.csv"))


_KINDS = {"spec": _spec, "override": _override, "sweep": _sweep, "profile": _profile, "table": _table}


def _fault(kind: str, number: int, path: Path) -> str | None:
    """What is wrong with how a wrong file is dealt with."""
    try:
        with limited():
            _KINDS[kind](random.Random(f"{kind} {number}"), path)
    except UserError as error:
        return None if clear(str(error)) else f"{kind} {number}: unclear: {str(error)[:1000]!r}"
    except TooSlowError:
        return f"{kind} {number}: took longer than {LIMIT_S:g} s"
    except Exception:
        lines = traceback.format_exc().splitlines()
        return "\n".join([f"{kind} {number}:", *(line[:300] for line in lines[-12:])])
    return None


def _faults(kind: str, numbers: range, folder: Path) -> list[str]:
    return [fault for n in numbers if (fault := _fault(kind, n, folder / "wrong.yaml")) is not None]


@pytest.mark.parametrize("kind", _KINDS)
def test_wrong_files_are_refused_in_clear_words(here: Path, kind: str) -> None:
    assert _faults(kind, range(40), here) == []


def test_a_path_of_a_thousand_characters_is_shown_in_short(here: Path) -> None:
    assert _faults("table", range(211, 212), here) == []


def test_a_tab_in_the_csv_modules_own_words_is_shown_as_an_escape(here: Path) -> None:
    assert _faults("table", range(591, 592), here) == []


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", _KINDS)
def test_ten_thousand_wrong_files_are_refused_in_clear_words(here: Path, kind: str) -> None:
    assert _faults(kind, range(40, 40 + 10_000 // len(_KINDS)), here) == []
