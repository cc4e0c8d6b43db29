"""Code of users: what belongs to it, what identifies it, and that what was read is what runs."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from vidcls.errors import UserError
from vidcls.user_code.arguments import make
from vidcls.user_code.copies import using, write_copies
from vidcls.user_code.find import find_code
from vidcls.user_code.load import load_code


@pytest.fixture(autouse=True)
def _as_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each test has the names of modules for itself, and looks for them in its folder."""
    monkeypatch.chdir(tmp_path)
    modules, finders = dict(sys.modules), list(sys.meta_path)
    yield
    sys.meta_path[:] = finders
    for name in set(sys.modules) - modules.keys():
        del sys.modules[name]


def write(files: dict[str, str]) -> None:
    for name, text in files.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text)


PACKAGE = {
    "own_net.py": "import os\nimport own_layers\nfrom own_pkg.sub.deep import thing\ndef Net(): return own_layers.size, thing\n",
    "own_layers.py": "size = 3\n",
    "own_other.py": "raise RuntimeError('nobody imports it')\n",
    "own_pkg/__init__.py": "",
    "own_pkg/sub/deep.py": "from . import beside\nfrom .. import above\nthing = beside.value + above.value\n",
    "own_pkg/sub/beside.py": "value = 1\n",
    "own_pkg/above.py": "value = 10\n",
    "own_pkg/unused.py": "value = 100\n",
    "wandb/run.py": "",  # a folder that wandb makes hides no package
}


def test_what_a_module_imports_from_beside_it_belongs_to_it() -> None:
    write(PACKAGE)
    code = find_code("own_net:Net")
    paths = {source.path for source in code.sources.values()}
    assert paths == {
        "own_net.py",
        "own_layers.py",
        "own_pkg/__init__.py",
        None,  # own_pkg/sub has no __init__.py
        "own_pkg/sub/deep.py",
        "own_pkg/sub/beside.py",
        "own_pkg/above.py",
    }
    assert load_code(code)() == (3, 11)


@pytest.mark.parametrize("target", ["own_net:Net", "own_net.py:Net", "./own_net.py:Net"])
def test_however_it_is_named_it_is_the_same_code(target: str) -> None:
    write(PACKAGE)
    assert find_code(target).identity == find_code("own_net:Net").identity


def test_a_file_in_a_package_is_a_module_of_the_package() -> None:
    write(
        {
            "p/__init__.py": "",
            "p/q/__init__.py": "",
            "p/q/net.py": "from ..x import y\ndef f(): return y\n",
            "p/x.py": "y = 5\n",
        }
    )
    code = find_code("p/q/net.py:f")
    assert (code.module, code.root) == ("p.q.net", Path.cwd())
    assert load_code(code)() == 5
    assert code.identity == find_code("p.q.net:f").identity


@pytest.mark.parametrize(
    ("file", "counts"),
    [("own_net.py", True), ("own_pkg/above.py", True), ("own_pkg/unused.py", False), ("own_other.py", False)],
)
def test_an_edit_counts_if_the_file_belongs_to_it(file: str, counts: bool) -> None:
    write(PACKAGE)
    before = find_code("own_net:Net").digest
    with Path(file).open("a") as stream:
        stream.write("# edited\n")
    assert (find_code("own_net:Net").digest != before) is counts


def test_a_folder_of_code_can_be_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(PACKAGE)
    before = find_code("own_net:Net").identity
    shutil.copytree(tmp_path, tmp_path / "moved")
    monkeypatch.chdir(tmp_path / "moved")
    assert find_code("own_net:Net").identity == before


def test_a_copy_runs_as_it_was_whatever_is_edited(tmp_path: Path) -> None:
    write(PACKAGE)
    write_copies(tmp_path / "code", [find_code("own_net:Net")])
    write({"own_layers.py": "size = 4\n", "own_pkg/above.py": "value = 20\n"})
    assert load_code(find_code("own_net:Net"))() == (4, 21)
    with using(tmp_path / "code"):
        copied = load_code(find_code("own_net:Net"))
    assert copied() == (3, 11)
    assert load_code(find_code("own_net:Net"))() == (4, 21)
    assert copied() == (3, 11)


def test_what_was_read_is_what_runs() -> None:
    write({"own_net.py": "def f(): return 1\n"})
    code = find_code("own_net:f")
    write({"own_net.py": "def f(): return 2\n"})
    assert load_code(code)() == 1


def test_a_copy_that_was_changed_does_not_run(tmp_path: Path) -> None:
    write(PACKAGE)
    code = find_code("own_net:Net")
    write_copies(tmp_path / "code", [code])
    write({f"code/{code.digest}/own_layers.py": "size = 666\n"})
    with using(tmp_path / "code"), pytest.raises(UserError, match="not what was copied"):
        find_code("own_net:Net")


def test_an_installed_module_is_its_release(tmp_path: Path) -> None:
    code = find_code("torchvision.models.video:r3d_18")
    assert code.release is not None
    assert code.release.startswith("torchvision ")
    write_copies(tmp_path / "code", [code])
    assert [path.name for path in (tmp_path / "code").iterdir()] == ["code.json"]
    with using(tmp_path / "code"):
        assert find_code(code.target).identity == code.identity


MISTAKES = {
    "own_nett:Net": "the module own_nett is found neither in",
    "own_nett.py:Net": "did you mean own_net.py?",
    "own_net:Nett": "did you mean Net?",
    "own_pkg.sub:Net": "is a folder, not a module",
    "own_net:SIZE": "cannot be called",
    "own_net": "is not a target",
    "own_net:a.b": "is not a target",
    "json.py:Net": "is a module of Python's standard library",
    "~nobody-here/x.py:Net": "there is no user nobody-here here",
    "os:system": "is a module of Python's standard library",
    "my-net.py:Net": "rename it",
    "broken:Net": "broken.py:2: not Python",
    "raising:Net": "raising.py:3: ZeroDivisionError",
    "missing:Net": "missing.py:1: ModuleNotFoundError",
    "hidden:Net": "write: import only_here",
}


@pytest.mark.parametrize("target", MISTAKES)
def test_mistakes(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path.cwd()))
    write(
        PACKAGE
        | {
            "own_net.py": PACKAGE["own_net.py"] + "SIZE = 3\n",
            "json.py": "",
            "only_here.py": "",
            "my-net.py": "",
            "broken.py": "def Net():\n  return (\n",
            "raising.py": "def Net(): ...\n\n1 / 0\n",
            "missing.py": "import no_such_module\n",
            "hidden.py": "import importlib\nimportlib.import_module('only_here')\ndef Net(): ...\n",
        }
    )
    with pytest.raises(UserError) as raised:
        load_code(find_code(target))
    assert MISTAKES[target] in str(raised.value)


def test_arguments_are_those_of_the_signature() -> None:
    write({"own_net.py": "def f(a, b=2, *, num_classes): return a, b, num_classes\n"})
    code = find_code("own_net:f")
    offered = {"num_classes": 7, "size": (1, 1)}
    assert make(code, {"a": 1}, offered=offered, key="model.args") == (1, 2, 7)
    with pytest.raises(UserError, match=r"needs it\n  set model.args.a"):
        make(code, {}, offered=offered, key="model.args")
    with pytest.raises(UserError, match="handed over by vidcls"):
        make(code, {"a": 1, "num_classes": 5}, offered=offered, key="model.args")
    with pytest.raises(UserError, match=r"takes no argument aa\n  did you mean model.args.a\?"):
        make(code, {"aa": 1}, offered=offered, key="model.args")
