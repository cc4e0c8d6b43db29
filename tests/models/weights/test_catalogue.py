"""Which weights a backbone has, and what they make of a clip that leaves its size and scale to them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from vidcls.errors import UserError
from vidcls.models.inputs import input_clip
from vidcls.models.weights.catalogue import names_of, resolve
from vidcls.spec.model import ModelSection
from vidcls.spec.sections import Clip, ClipSection

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def filled(clip: ClipSection | None = None, **section: Any) -> Clip:
    parsed: ModelSection = TypeAdapter(ModelSection).validate_python(
        {"kind": "frame_average", **section}, strict=False
    )
    return input_clip(parsed, clip or ClipSection())


def test_default_is_the_best_known() -> None:
    assert names_of("resnet50") == ["IMAGENET1K_V2", "IMAGENET1K_V1"]
    assert resolve("resnet50", "default").name == "IMAGENET1K_V2"
    assert resolve("timm/resnet18", "default").name == "a1_in1k"
    assert resolve("timm/resnet18.tv_in1k", "default").label == "timm/resnet18:tv_in1k"
    assert resolve("efficientnet_lite0", "default").source == "package"
    assert names_of("small") == []


def test_where_a_download_lies(tmp_path: Path) -> None:
    assert resolve("r3d_18", "default").file(tmp_path).name == "r3d_18-KINETICS400_V1.safetensors"
    assert resolve("timm/resnet18", "default").file(tmp_path).name == "timm-resnet18-a1_in1k.safetensors"


@pytest.mark.parametrize(
    ("backbone", "weights", "words"),
    [
        ("resnet18", "IMAGENET1K_V2", "did you mean IMAGENET1K_V1"),
        ("timm/resnet18", "a9_in1k", "did you mean a3_in1k or a2_in1k or a1_in1k"),
        ("timm/resnet18.a1_in1k", "a2_in1k", "does not fit model.backbone: timm/resnet18.a1_in1k"),
        ("timm/resnet1b", "default", "did you mean timm/resnet18"),
        ("small", "default", "small has no pretrained weights"),
        ("resnet8", "default", "did you mean resnet18"),
    ],
)
def test_refuses_what_there_is_not(backbone: str, weights: str, words: str) -> None:
    with pytest.raises(UserError) as caught:
        resolve(backbone, weights)
    assert words in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("backbone", "weights", "size", "mean", "std"),
    [
        ("resnet18", "default", (224, 224), *IMAGENET),
        ("resnet18", "some/file.pth", (224, 224), *IMAGENET),
        ("inception_v3", "default", (299, 299), (0.5,) * 3, (0.5,) * 3),
        ("timm/resnet18.a3_in1k", "default", (160, 160), *IMAGENET),
        ("efficientnet_lite0", "default", (224, 224), (127 / 255,) * 3, (128 / 255,) * 3),
        ("small", "some/file.pth", (112, 112), None, None),
        ("resnet18", None, (112, 112), None, None),
    ],
)
def test_a_clip_is_what_the_weights_were_trained_on(
    backbone: str, weights: str | None, size: Any, mean: Any, std: Any
) -> None:
    clip = filled(backbone=backbone, weights=weights)
    assert (clip.size, clip.mean, clip.std) == (size, mean, std)


def test_video_weights_know_their_own() -> None:
    clip = filled(kind="cnn3d", backbone="r3d_18", weights="KINETICS400_V1")
    assert clip.size == (112, 112)
    assert clip.mean == (0.43216, 0.394666, 0.37645)
    assert filled(kind="cnn3d", backbone="resnet18", weights="default").size == (224, 224)


def test_what_was_asked_for_stays() -> None:
    asked = ClipSection(size=(96, 64), mean=(0.1, 0.2, 0.3))
    clip = filled(asked, backbone="resnet18", weights="default")
    assert (clip.size, clip.mean, clip.std) == ((96, 64), (0.1, 0.2, 0.3), IMAGENET[1])


@pytest.mark.parametrize("modality", ["flow", "difference"])
def test_motion_keeps_its_own_scale(modality: Any) -> None:
    clip = filled(ClipSection(modality=modality), backbone="resnet18", weights="default")
    assert clip.size == (224, 224)
    assert clip.normalisation == ClipSection(modality=modality).normalisation


def test_of_two_streams_the_weights_of_rgb_say_its_scale() -> None:
    streams = {
        "rgb": {"kind": "frame_average", "backbone": "resnet18", "weights": "default"},
        "motion": {"kind": "cnn3d", "backbone": "r3d_18", "weights": "default"},
    }
    asked = ClipSection(modality="rgb+flow", size=(112, 112))
    clip = filled(asked, kind="two_stream", **streams)
    assert clip.mean == (*IMAGENET[0], 0.0, 0.0)
    assert clip.std == (*IMAGENET[1], 0.5, 0.5)
    only_motion = filled(asked, kind="two_stream", **streams | {"rgb": {"kind": "cnn3d"}})
    assert only_motion.normalisation == asked.normalisation


def test_members_must_agree_about_what_is_left_to_them() -> None:
    members = [
        {"kind": "frame_average", "backbone": "resnet18", "weights": "default"},
        {"kind": "cnn3d", "backbone": "r3d_18", "weights": "default"},
        {"kind": "cnn3d"},
    ]
    with pytest.raises(UserError, match=r"clip\.size") as caught:
        filled(kind="ensemble", members=members)
    assert "[224,224] (resnet18:IMAGENET1K_V1)" in caught.value.message
    with pytest.raises(UserError, match=r"clip\.mean"):
        filled(ClipSection(size=(112, 112)), kind="ensemble", members=members)
    chosen = ClipSection(size=(112, 112), mean=(0.4,) * 3, std=(0.2,) * 3)
    assert filled(chosen, kind="ensemble", members=members).size == (112, 112)
    assert filled(kind="ensemble", members=[members[0], members[2]]).size == (224, 224)


@pytest.mark.slow
def test_timm_is_imported_only_when_it_is_named() -> None:
    code = (
        "import sys\nfrom vidcls.models.build import build\nfrom vidcls.models.inputs import input_clip\n"
        "from vidcls.models.weights.load import load_pretrained\nfrom vidcls.spec.model import FrameAverageSection\n"
        "from vidcls.spec.sections import ClipSection\n"
        "section = FrameAverageSection(kind='frame_average', backbone='resnet18', weights='default')\n"
        "build(section, num_classes=2, clip=input_clip(section, ClipSection()))\n"
        "assert not {'timm', 'huggingface_hub', 'efficientnet_lite_pytorch'} & sys.modules.keys()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
