"""`vidcls explain` says of every key what the code does with it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from vidcls.cli import app

ROOT = Path(__file__).parents[2]
STREAMS = "{kind: two_stream, rgb: {kind: cnn3d}, motion: {kind: cnn3d}"


def run(*words: str) -> Result:
    return CliRunner().invoke(app, list(words), env={"COLUMNS": "200"})


def explained(key: str) -> dict[str, Any]:
    result = run("explain", key, "--json")
    assert result.exit_code == 0, result.output
    content: dict[str, Any] = json.loads(result.stdout)
    return content


def every_setting(section: str = "") -> list[dict[str, Any]]:
    found = []
    for setting in explained(section)["settings"]:
        is_new = "section" in setting["type"] and setting["key"].count(".") < 2
        found += [setting, *(every_setting(setting["key"]) if is_new else [])]
    return found


def test_every_key_has_a_type_and_says_what_it_does() -> None:
    settings = every_setting()
    assert {"name", "data.root", "optim.betas", "model.join", "model.rgb.dropout", "tracking.mode"} <= {
        setting["key"] for setting in settings
    }
    assert not [setting["key"] for setting in settings if not (setting["type"] and setting["description"])]


def test_a_key_shows_its_type_its_default_and_where_shipped_files_set_it() -> None:
    shown = run("explain", "model.join").stdout
    assert "model.join: mean, max, concat, gru or attention; default concat" in shown
    assert "only for kind: late_fusion" in shown
    assert re.search(r"experiments/late_fusion.yaml +concat", shown)
    assert re.search(r"sweeps/late_fusion.yaml +one of concat, gru, attention", shown)
    assert re.search(r"sweeps/few_videos_models.yaml +concat; gru; attention", shown)


def test_what_shipped_files_set_is_what_they_say() -> None:
    shipped = {value["file"]: value["value"] for value in explained("train.epochs")["shipped"]}
    for path in (ROOT / "experiments").glob("*.yaml"):
        own = yaml.safe_load(path.read_text()).get("train", {})
        assert shipped.get(f"experiments/{path.name}") == (str(own["epochs"]) if "epochs" in own else None)
    assert "no shipped file sets it" in run("explain", "train.deterministic").stdout


def test_a_key_that_differs_between_kinds_is_shown_for_each() -> None:
    defaults = {form["kinds"][0]: form["default"] for form in explained("optim.lr")["forms"]}
    assert defaults == {"adamw": "0.001", "sgd": "0.05"}


def test_choices_defaults_and_required_keys_are_told_apart() -> None:
    (fit,), (root,), (name,) = (explained(key)["forms"] for key in ("clip.fit", "data.root", "name"))
    assert (fit["choices"], fit["default"]) == (["squeeze", "crop"], "squeeze")
    assert (root["choices"], root["default"]) == ([], "data/motion10")
    assert name["default"] is None
    assert explained("data.args")["forms"][0]["default"] == "{}"


def test_items_of_a_list_are_explained_by_any_number() -> None:
    for key in ("model.members[0].join", "model.members.1.join"):
        assert explained(key)["forms"] == explained("model.members.join")["forms"]


@pytest.mark.parametrize(
    ("key", "settings"),
    [
        ("clip.flow", ["clip.flow=dis"]),
        ("clip.std", ["clip.std=[1.0]"]),
        ("clip.unit", ["clip.unit=frame"]),
        ("clip.sampling", ["clip.unit=frame", "clip.sampling=segment", "model={kind: frame_average}"]),
        ("augment.crop", ["augment.crop=random"]),
        ("augment.ratio", ["augment.ratio=[0.5, 2.0]"]),
        ("augment.num_views", ["augment.num_views=4"]),
        ("data.source", ["data.source=flows_png"]),
        ("data.source", ["data.source=flows"]),
        ("data.layout", ["data.target=m:N", "data.layout=course"]),
        ("data.max_bad", ["data.max_bad=3"]),
        ("clip.fit", ["data.target=m:N", "clip.fit=crop"]),
        ("model.batch_norm", ["model.batch_norm=frozen"]),
        ("model.kind", [f"model={STREAMS}}}"]),
        (
            "model.rgb.dropout",
            ["clip.modality=rgb+difference", f"model={STREAMS}}}", "model.rgb.dropout=0.5"],
        ),
        ("model.rgb_share", ["clip.modality=rgb+difference", f"model={STREAMS}, rgb_share: 0.5}}"]),
        ("optim.nesterov", ["optim={kind: sgd, momentum: 0.0}"]),
        ("optim.warmup_epochs", ["optim.warmup_epochs=50"]),
        ("train.stop_after", ["train.stop_after=99"]),
        ("train.unfreeze_every", ["train.unfreeze_every=2"]),
    ],
)
def test_the_reasons_for_refusing_a_key_are_those_of_the_check(
    tmp_path: Path, key: str, settings: list[str]
) -> None:
    spec = tmp_path / "x.yaml"
    spec.write_text("name: x\nmodel: {kind: cnn3d}\n")
    result = run("spec", "check", str(spec), *settings)
    assert result.exit_code == 2, result.output
    reasons = [reason for form in explained(key)["forms"] for reason in form["refusals"]]
    patterns = [".*".join(map(re.escape, reason.split("…"))) for reason in reasons]
    assert [pattern for pattern in patterns if re.search(f"{re.escape(key)}: {pattern}", result.stderr)], (
        result.stderr,
        reasons,
    )


def test_a_section_lists_its_keys() -> None:
    shown = run("explain", "optim").stdout
    assert "optim.layer_decay" in shown
    assert "next: vidcls explain optim.kind" in shown
    assert {"model", "train", "runs_dir"} <= {setting["key"] for setting in explained("")["settings"]}


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("optim.lrr", "did you mean optim.lr?"),
        ("lr", "did you mean optim.lr?"),
        ("trian", "did you mean train?"),
        ("clip.sizes", "did you mean clip.size?"),
        ("xyzzy", "vidcls explain SECTION its keys"),
    ],
)
def test_an_unknown_key_is_a_mistake_with_a_suggestion(key: str, meant: str) -> None:
    result = run("explain", key)
    assert result.exit_code == 2
    assert f"{key}: unknown key" in result.stderr
    assert meant in result.stderr
