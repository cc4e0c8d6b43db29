"""`vidcls weights`: downloads from a server on this machine, and what is listed."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
import torchvision
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner, Result

from vidcls.cli.main import app


class Handler(SimpleHTTPRequestHandler):
    """Serves a folder, with what the hub's client wants to know of a file."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        return

    def end_headers(self) -> None:
        self.send_header("X-Repo-Commit", "0" * 40)
        self.send_header("ETag", '"1"')
        super().end_headers()


@contextmanager
def served(folder: Path) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def run(*args: object) -> Result:
    return CliRunner().invoke(app, ["weights", *map(str, args)])


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the weights of a ResNet-18, named as torchvision names them: by their hash."""
    folder = tmp_path_factory.mktemp("served")
    torch.manual_seed(0)
    torch.save(torchvision.models.resnet18(weights=None).state_dict(), folder / "new.pth")
    digest = hashlib.sha256((folder / "new.pth").read_bytes()).hexdigest()
    (folder / "new.pth").rename(folder / f"resnet18-{digest[:8]}.pth")
    return folder


@pytest.fixture
def address(files: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """torchvision's weights of ResNet-18 are served here."""
    (file,) = files.glob("*.pth")
    with served(files) as host:
        url = f"{host}/{file.name}"
        monkeypatch.setattr(torchvision.models.ResNet18_Weights.IMAGENET1K_V1.value, "url", url)
        yield url


def test_fetch_stores_what_the_backbone_needs(address: str, files: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    result = run("fetch", "resnet18", "--store-dir", store)
    assert result.exit_code == 0, result.output
    assert address in result.output
    file = store / "weights" / "resnet18-IMAGENET1K_V1.safetensors"
    (served_file,) = files.glob("*.pth")
    theirs, stored = torch.load(served_file, weights_only=True), load_file(file)
    assert stored.keys() == {name for name in theirs if not name.startswith("fc.")}
    assert all(torch.equal(stored[name], theirs[name]) for name in stored)
    assert [path.name for path in file.parent.iterdir()] == [file.name]

    again = run("fetch", "resnet18:IMAGENET1K_V1", "--store-dir", store)
    assert again.exit_code == 0
    assert "is here already" in again.output

    listed = json.loads(run("ls", "--store-dir", store, "--json").stdout)
    row = next(row for row in listed if row["backbone"] == "resnet18")
    assert (row["weights"], row["origin"]) == ("IMAGENET1K_V1", address)
    assert row["mb"] == pytest.approx(44.8, abs=0.3)
    of_one = json.loads(run("ls", "resnet18", "--store-dir", store, "--json").stdout)
    assert [(row["weights"], row["default"], row["here"]) for row in of_one] == [
        ("IMAGENET1K_V1", True, True)
    ]


def test_what_is_not_what_it_should_be_is_not_stored(
    address: str, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (file,) = files.glob("*.pth")
    (files / "resnet18-00000000.pth").write_bytes(file.read_bytes())
    wrong = f"{address.rpartition('/')[0]}/resnet18-00000000.pth"
    monkeypatch.setattr(torchvision.models.ResNet18_Weights.IMAGENET1K_V1.value, "url", wrong)
    result = run("fetch", "resnet18", "--store-dir", tmp_path)
    (files / "resnet18-00000000.pth").unlink()
    assert result.exit_code == 1
    assert "invalid hash value" in result.output
    assert not (tmp_path / "weights").exists()


def test_without_a_network_it_says_where_to_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unused_url: str
) -> None:
    monkeypatch.setattr(torchvision.models.ResNet18_Weights.IMAGENET1K_V1.value, "url", unused_url)
    result = run("fetch", "resnet18", "--store-dir", tmp_path)
    assert result.exit_code == 1
    assert f"could not be downloaded from {unused_url}" in result.output
    assert "login node" in result.output
    assert "model.weights=FILE" in result.output


@pytest.fixture
def unused_url(tmp_path: Path) -> str:
    """Of a server that is gone."""
    with served(tmp_path) as host:
        pass
    return f"{host}/resnet18-00000000.pth"


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["fetch", "resnet8"], "did you mean resnet18"),
        (["fetch", "resnet18:IMAGENET1K_V9"], "no weights IMAGENET1K_V9"),
        (["fetch", "small"], "has no pretrained weights"),
        (["fetch", "resnet18:some/file.pth"], "a file need not be downloaded"),
        (["ls", "resnet8"], "did you mean resnet18"),
    ],
)
def test_mistakes_are_messages(args: list[str], words: str) -> None:
    result = run(*args)
    assert result.exit_code == 2
    assert words in result.output


def test_a_broken_file_is_listed_as_such(tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "x.safetensors").write_bytes(b"123")
    listed = json.loads(run("ls", "--store-dir", tmp_path, "--json").stdout)
    assert "cannot be read" in listed[-1]["origin"]
    assert "x.safetensors" in run("ls", "--store-dir", tmp_path).stdout


@pytest.mark.slow
def test_timm_through_the_client_of_its_hub(tmp_path: Path) -> None:
    import timm

    folder = tmp_path / "served" / "timm" / "test_resnet.r160_in1k" / "resolve" / "main"
    folder.mkdir(parents=True)
    network = timm.create_model("test_resnet", num_classes=1000)
    save_file(network.state_dict(), folder / "model.safetensors")
    with served(tmp_path / "served") as host:
        done = subprocess.run(
            [sys.executable, "-m", "vidcls", "weights", "fetch", "timm/test_resnet", "--store-dir", tmp_path],
            env=os.environ | {"HF_ENDPOINT": host, "HF_HOME": str(tmp_path / "hub")},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    stored = load_file(tmp_path / "weights" / "timm-test_resnet-r160_in1k.safetensors")
    assert stored
    assert all(torch.equal(stored[name], network.state_dict()[name]) for name in stored)
    assert not any(name.startswith("fc.") for name in stored)
