"""What a data set of one's own gives is checked: the message names the item, what it is, and what to write."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from tests.support.own_dataset import data_of, write_dataset
from tests.support.training import Experiment
from vidcls.cli import app
from vidcls.data.batches.dataset_clips import DatasetClips
from vidcls.data.manifest import Manifest, load_manifest
from vidcls.errors import UserError
from vidcls.spec.data import DataSection
from vidcls.spec.explain import SpecError
from vidcls.spec.load import load_spec
from vidcls.spec.sections import AugmentSection, Clip, ClipSection

CLIP = Clip(frames=4, size=(24, 24))


def section(target: str, **settings: object) -> DataSection:
    return DataSection.model_validate({**data_of(target), "workers": 0, **settings})


def listed(folder: Path, body: str, **settings: object) -> Manifest:
    return load_manifest(section(write_dataset(folder, _class(body)), **settings), cache_dir=folder / "store")


def _class(body: str) -> str:
    return (
        "\n\nclass Own(Squares):\n" + "".join(f"    {line}\n" for line in body.splitlines()) if body else ""
    )


def opened(folder: Path, body: str, clip: Clip = CLIP, **settings: object) -> tuple[Manifest, DatasetClips]:
    manifest = listed(folder, body, **settings)
    data = section(f"{folder / 'own.py'}:{'Own' if body else 'Squares'}", **settings)
    clips = DatasetClips(
        manifest.training,
        data=data,
        asked=ClipSection(**clip.model_dump(exclude_none=True)),
        clip=clip,
        classes=manifest.classes,
        store_dir=folder / "store",
        device=torch.device("cpu"),
    )
    return manifest, clips


GIVES = "def __getitem__(self, index):\n    clip, label = super().__getitem__(index)\n    return "


@pytest.mark.parametrize(
    ("gives", "message"),
    [
        ("clip.permute(1, 2, 3, 0), label", r"shape \[4, 24, 24, 3\]; .*\n.*permute\(3, 0, 1, 2\)"),
        ("clip.permute(1, 0, 2, 3), label", r"shape \[4, 3, 24, 24\]; .*\n.*permute\(1, 0, 2, 3\)"),
        ("clip[None], label", r"shape \[1, 3, 4, 24, 24\]; .*\n.*clip\[0\]"),
        ("clip[:, 0], label", r"shape \[3, 24, 24\]; .*\n.*torch.stack"),
        ("clip[:, :3], label", r"shape \[3, 3, 24, 24\]; .*\n.*clip.frames=3"),
        ("clip.tolist(), label", r"of type list; expected a torch tensor"),
        ("(clip * 255).long(), label", r"the clip is int64; .*\n.*uint8"),
        ("clip.numpy().astype('>f4'), label", r"a NumPy array of >f4; expected .*\n.*astype\(np.float32\)"),
        ("clip.numpy().astype(np.longdouble), label", r"a NumPy array of float128; expected"),
        ("np.array(['a', 'b']), label", r"a NumPy array of <U1; expected"),
        ("np.array([None, clip], dtype=object), label", r"a NumPy array of object; expected"),
        ("clip.to_sparse(), label", r"a tensor of layout torch.sparse_coo; .*\n.*to_dense"),
        ("clip / 0 * 0, label", r"6912 of 6912 values .* NaN"),
        ("clip, label, index", r"gives 3 values; expected \(clip, label\)"),
        ("{'clip': clip}", r"gives an object of type dict; expected"),
        ("clip, label + 3", r"the label is 3; expected 0 to 2"),
        ("clip, label - 1", r"the label is -1; expected 0 to 2"),
        ("clip, float(label)", r"the label is 0.0 \(float\); .*\n.*int\(label\)"),
        ("clip, self.classes[label]", r"the label is 'down' \(str\)"),
        ("clip, np.eye(3)[label]", r"the label is float64 of shape \[3\]"),
        ("clip, True", r"the label is True"),
    ],
)
def test_an_item_that_the_model_does_not_take(tmp_path: Path, gives: str, message: str) -> None:
    with pytest.raises(UserError, match=rf"own\.py:Own train\[0\]: (?s:.)*{message}"):
        opened(tmp_path, GIVES + gives)


def test_what_the_model_takes(tmp_path: Path) -> None:
    manifest, clips = opened(tmp_path, GIVES + "clip.double().numpy()[:, :, ::-1], np.int64(label)")
    (batch,) = clips.eval_batches(manifest.split("val"), batch_size=8)
    assert (batch.clip.dtype, tuple(batch.clip.shape)) == (torch.float32, (6, 3, 4, 24, 24))
    assert batch.ids == tuple(f"val/{index}" for index in range(6))
    assert batch.host_labels == (0, 1, 2, 0, 1, 2)


def test_bytes_are_normalised_with_mean_and_std(tmp_path: Path) -> None:
    clip = CLIP.model_copy(update={"mean": (0.1, 0.2, 0.3), "std": (0.5, 1.0, 2.0)})
    body = (
        "def __getitem__(self, index):\n    return np.full((3, 4, 24, 24), 51, np.uint8), self.labels[index]"
    )
    manifest, clips = opened(tmp_path, body, clip)
    batch = next(clips.eval_batches(manifest.split("val"), batch_size=2))
    assert batch.clip[0, :, 0, 0, 0].tolist() == pytest.approx([0.2, 0.0, -0.05], abs=1e-6)


def test_an_epoch_depends_on_seed_and_epoch_and_an_evaluation_on_neither(tmp_path: Path) -> None:
    manifest, clips = opened(tmp_path, "")
    train = manifest.split("train")

    def epoch(number: int, start: int = 0) -> list[torch.Tensor]:
        options = {"augment": AugmentSection(), "seed": 0, "batch_size": 2}
        return [b.clip for b in clips.train_batches(train, epoch=number, start_step=start, **options)]  # type: ignore[arg-type]

    first, again, later = epoch(0), epoch(0, start=1), epoch(1)
    assert torch.equal(torch.cat(first[1:]), torch.cat(again))
    assert not torch.equal(
        torch.cat(first).sum((1, 2, 3, 4)).sort()[0], torch.cat(later).sum((1, 2, 3, 4)).sort()[0]
    )
    once, twice = (torch.cat([b.clip for b in clips.eval_batches(train, batch_size=4)]) for _ in range(2))
    assert torch.equal(once, twice)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("classes = 'abc'", "classes: expected a list"),
        ("classes = ['a', 'a', 'b']", "'a' occurs twice"),
        ("classes = ['a', 'b']", r"labels\[2\]: the label is 2; expected 0 to 1"),
        ("groups = ['a']", "groups: has 1 values for 6 items"),
        ("ids = list('aabcde')", r"'a' is the id of train\[0\] and train\[1\]"),
        ("@property\ndef classes(self):\n    return sorted(['down', 'across', 'still'], reverse=self.split == 'val')",
         "label 0 is 'across' for split='train', but 'still' for split='val'"),
        ("@property\ndef groups(self):\n    raise KeyError('film')", r"own\.py:\d+: KeyError: 'film' \(for split='train'\)"),
        ("def __init__(self, split='train'):\n    super().__init__(split, num=0 if split == 'train' else 6)",
         "data.target: .*own.py:Own: 1 problem prevents training\n  no_train: no usable video in train"),
    ],
)  # fmt: skip
def test_an_attribute_that_is_wrong(tmp_path: Path, body: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        listed(tmp_path, body)


def test_a_val_that_fails_is_the_users_error_and_not_taken_for_none(tmp_path: Path) -> None:
    body = "def __init__(self, split='train'):\n    if split == 'val':\n        raise FileNotFoundError('val.csv')\n    super().__init__(split)"
    with pytest.raises(UserError, match=r"own\.py:\d+: FileNotFoundError: val.csv \(for split='val'\)"):
        listed(tmp_path, body)


def test_an_iterable_data_set_is_refused(tmp_path: Path) -> None:
    for name, length in (("Stream", ""), ("Counted", "\n    def __len__(self):\n        return 6")):
        change = (
            f"\n\nclass {name}(torch.utils.data.IterableDataset):\n    def __iter__(self):\n        yield 1"
        )
        target = write_dataset(tmp_path, change + length + "\n", name=name.lower())
        with pytest.raises(UserError, match=f"{name}: an iterable data set has no index"):
            load_manifest(section(target), cache_dir=tmp_path)


def test_commands_that_read_files_name_those_that_take_a_data_set(tmp_path: Path) -> None:
    target = write_dataset(tmp_path)
    for command in ("check", "audit"):
        refused = CliRunner().invoke(app, ["data", command, target])
        assert refused.exit_code == 2
        assert f"`vidcls data scan {target}`" in refused.stderr
        assert CliRunner().invoke(app, ["data", "scan", target]).exit_code == 0


def test_an_empty_val_is_cut_from_train_in_whole_groups(tmp_path: Path) -> None:
    body = "def __init__(self, split='train'):\n    super().__init__(split, num=12 if split == 'train' else 0)\n    self.groups = [str(n // 3) for n in range(len(self))]"
    manifest = listed(tmp_path, body)
    assert manifest.val_is_cut
    held = {video.group for video in manifest.split("val")}
    assert held
    assert held.isdisjoint(video.group for video in manifest.split("train"))
    assert any("became val, in whole groups" in problem.message for problem in manifest.problems)
    assert all(video.item.split == "train" for video in manifest.videos if video.item)


def test_a_function_without_splits_is_all_train_and_has_no_test(tmp_path: Path) -> None:
    from vidcls.data.user_dataset.manifest import with_test

    target = write_dataset(tmp_path, "\n\ndef made(num=12):\n    return Squares(num=num)\n")
    data = section(target)
    manifest = load_manifest(data, cache_dir=tmp_path)
    assert manifest.val_is_cut
    assert {video.id for video in manifest.videos} == {f"item/{index}" for index in range(12)}
    with pytest.raises(UserError, match="has no test split"):
        with_test(manifest, data, cache_dir=None)


def test_labels_that_are_not_listed_are_read_once(tmp_path: Path) -> None:
    body = (
        f"def __init__(self, split='train'):\n    super().__init__(split)\n    self._own, self.labels = self.labels, None\n"
        f"def __getitem__(self, index):\n    with Path({str(tmp_path / 'read')!r}).open('a') as f:\n        f.write('x')\n"
        "    return torch.zeros(3, 4, 24, 24), self._own[index]"
    )
    first, second = listed(tmp_path, body), listed(tmp_path, body)
    assert first.hash == second.hash
    assert (tmp_path / "read").read_text() == "x" * 12
    assert [video.label for video in first.split("train")] == [0, 1, 2, 0, 1, 2]


def test_the_data_is_code_arguments_labels_splits_and_groups(tmp_path: Path) -> None:
    plain = listed(tmp_path, "")
    others = [
        listed(tmp_path, "groups = list('abcdef')"),
        listed(tmp_path, "ids = property(lambda self: [self.split + str(n) for n in range(6)])"),
        listed(tmp_path, "other = 1"),
        load_manifest(section(f"{tmp_path / 'own.py'}:Squares", args={"num": 7}), cache_dir=tmp_path),
    ]
    assert len({manifest.hash for manifest in (plain, *others)}) == 5


MIRROR = "def __getitem__(self, index):\n    clip, label = super().__getitem__(index)\n    return clip, (1 - label if label < 2 and self.split == 'train' else label)"


def test_another_label_than_listed_is_only_taken_where_a_flip_explains_it(tmp_path: Path) -> None:
    sided = f"classes = ['turn_left', 'turn_right', 'still']\n{MIRROR}"
    manifest, clips = opened(tmp_path, sided)
    options = {"augment": AugmentSection(), "seed": 0, "batch_size": 6, "epoch": 0}
    with pytest.raises(
        UserError, match=r"gives the label \d \(.*\), but is listed with (?s:.)*data.flip_labels"
    ):
        list(clips.train_batches(manifest.split("train"), **options))  # type: ignore[arg-type]
    manifest, clips = opened(
        tmp_path, sided, flip_labels={"turn_left": "turn_right", "turn_right": "turn_left"}
    )
    (batch,) = clips.train_batches(manifest.split("train"), **options)  # type: ignore[arg-type]
    assert sorted(batch.host_labels) == [0, 0, 1, 1, 2, 2]


def test_another_label_than_listed_has_the_file_of_labels_that_were_read(tmp_path: Path) -> None:
    manifest, clips = opened(tmp_path, MIRROR)
    options = {"augment": AugmentSection(), "seed": 0, "batch_size": 6, "epoch": 0}
    with pytest.raises(UserError, match="the attribute `labels` must be that of the items") as found:
        list(clips.train_batches(manifest.split("train"), **options))  # type: ignore[arg-type]
    assert "flip_labels" not in str(found.value)
    shift = tmp_path / "shift"
    shift.write_text("0")
    body = (
        "def __init__(self, split='train'):\n    super().__init__(split)\n    self._own, self.labels = self.labels, None\n"
        f"def __getitem__(self, index):\n    label = (self._own[index] + int(Path({str(shift)!r}).read_text())) % 3\n"
        "    return torch.zeros(3, 4, 24, 24), label"
    )
    manifest, clips = opened(tmp_path, body)
    shift.write_text("1")
    with pytest.raises(
        UserError, match=r"labels were read before and kept in .*\.json: .* remove it"
    ) as found:
        list(clips.train_batches(manifest.split("train"), **options))  # type: ignore[arg-type]
    old = next(Path(word.rstrip(":")) for word in str(found.value).split() if word.endswith(".json:"))
    old.unlink()
    manifest, clips = opened(tmp_path, body)
    assert list(clips.train_batches(manifest.split("train"), **options))  # type: ignore[arg-type]


def test_groups_that_pandas_does_not_know_are_none(tmp_path: Path) -> None:
    manifest = listed(tmp_path, "groups = np.array(['a', 'a', 'b', float('nan'), 'b', None], dtype=object)")
    assert [video.group for video in manifest.split("train")] == ["a", "a", "b", None, "b", None]
    manifest = listed(tmp_path, "groups = np.full(6, np.nan)")
    assert {video.group for video in manifest.videos} == {None}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"data__root": "elsewhere"}, "data.root: has no effect with data.target"),
        ({"data__bad_videos": "skip"}, "data.bad_videos: has no effect with data.target: an item that fails"),
        ({"data__workers": 0, "data__timeout_s": 5}, "data.timeout_s: has no effect with workers: 0"),
        ({"data__residency": "memory"}, "data.residency: has no effect with data.target"),
        ({"augment__flip": 0.5}, "augment.flip: has no effect with data.target"),
        ({"clip__sampling": "segment"}, "clip.sampling: has no effect with data.target"),
        ({"data__target": None}, "data.args: has no effect without data.target"),
        ({"data__target": "own"}, "'own' is not a target; write module:Name"),
        ({"data": {"workers": 0}}, "data.workers: 0 is only for data.target"),
    ],
)
def test_settings_without_effect(tmp_path: Path, settings: dict[str, object], message: str) -> None:
    own = Experiment(tmp_path, tmp_path, settings={"data": data_of("own:Squares", num=3)})
    with pytest.raises(SpecError, match=message):
        load_spec(own.spec(**settings))


def test_a_mean_for_floats_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"clip.mean: has no effect, because .* is float"):
        opened(tmp_path, "", CLIP.model_copy(update={"mean": (0.1, 0.2, 0.3)}))


def test_floats_among_bytes_are_refused(tmp_path: Path) -> None:
    body = GIVES + "((clip * 255).byte() if index < 3 else clip), label"
    manifest, clips = opened(tmp_path, body)
    with pytest.raises(UserError, match="some clips are uint8 and others float"):
        list(clips.eval_batches(manifest.split("val"), batch_size=4))
