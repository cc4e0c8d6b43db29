"""Where a model looks: Grad-CAM of clips (Selvaraju et al. 2017, arXiv:1610.02391), by captum.

The map is that of the last step of the network that still has places, for the predicted class: how much each
place speaks for it. A 2D network has a map for each frame, a 3D network for a part of the clip, and early
fusion one for all frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vidcls.data.batches.open_clips import open_clips
from vidcls.data.decoding.workers import StageProgress
from vidcls.data.manifest import Video
from vidcls.errors import UserError
from vidcls.evaluate.restore import Restored, restore
from vidcls.evaluate.run_data import data_of
from vidcls.models.device import full_float32, pick_device, pin
from vidcls.run.folder import Checkpoint, Run
from vidcls.spec.fingerprint import targets_in
from vidcls.spec.sections import Clip
from vidcls.user_code.trust import kept_code

Pixels = NDArray[np.uint8]
NUM_FRAMES = 4
"""Number of frames of a clip that are shown."""
_OPACITY = 0.45


@dataclass(frozen=True, eq=False)
class Explained:
    """Clip with its map.

    Attributes:
        video: Id of the video.
        true: True class.
        predicted: Predicted class, of which the map speaks.
        probability: Its probability.
        frames: Frames of the clip side by side, `[H, N W, 3]` uint8 RGB.
        heat: Map of these frames, `[H, N W]`, from 0 to 1.
        maps: The same frames with the map over them, bright where it is largest.
    """

    video: str
    true: str
    predicted: str
    probability: float
    frames: Pixels
    heat: NDArray[np.float32]
    maps: Pixels


def explain(run: Run, which: Checkpoint, ids: Sequence[str], *, progress: StageProgress) -> list[Explained]:
    """Compute the maps of videos that a run's data has.

    Args:
        run: Run with its weights.
        which: Checkpoint.
        ids: Ids of videos of train or val; those that cannot be read are left out.
        progress: Called in the stages of reading, and `explain`.

    Raises:
        UserError: If the weights or the data are not there, or the model has no step with places, or its
            clips have no frames in RGB.
        VidclsError: If a file of the run is damaged.
    """
    device = pick_device(None)
    with kept_code(run.code_dir, targets_in(run.spec())):
        restored = restore(run, which, device)
        if "rgb" not in restored.clip.parts or restored.spec.data.target is not None:
            raise UserError(
                f"{run.folder}: maps are drawn over the frames of videos, and its clips have none"
            )
        pin(threads=run.provenance()["threads"], deterministic=True)
        spec, manifest = data_of(run)
        wanted = {name: number for number, name in enumerate(ids)}
        videos = [video for video in manifest.videos if video.id in wanted and video.has_frames]
        videos.sort(key=lambda video: wanted[video.id])
        with open_clips(
            videos,
            data=spec.data.model_copy(update={"residency": "streamed"}),
            clip=restored.clip,
            store_dir=Path(spec.store_dir),
            device=device,
            report_bad=True,
            progress=progress,
        ) as clips:
            found = []
            for batch in clips.eval_batches(videos, batch_size=1):
                found.append(_explained(restored, batch.clip, _video(videos, batch.ids[0])))
                progress("explain", len(found), len(videos))
            return found


def _video(videos: Sequence[Video], name: str) -> Video:
    return next(video for video in videos if video.id == name)


def _explained(restored: Restored, clip: Tensor, video: Video) -> Explained:
    """Explain one clip `[1, C, T, H, W]`."""
    layer, probabilities = _last_map(restored.model, clip)
    predicted = int(probabilities.argmax())
    heat = _heat(restored.model, layer, clip, predicted)
    frames = _frames(clip, restored.clip)
    chosen = np.linspace(0, len(frames) - 1, min(NUM_FRAMES, len(frames))).round().astype(int)
    shown = [frames[number] for number in chosen]
    covered = [_covered(frames[number], heat[number]) for number in chosen]
    return Explained(
        video=video.id,
        true=restored.classes[video.label],
        predicted=restored.classes[predicted],
        probability=float(probabilities[predicted]),
        frames=np.concatenate(shown, axis=1),
        heat=np.concatenate([heat[number] for number in chosen], axis=1),
        maps=np.concatenate(covered, axis=1),
    )


def _last_map(model: nn.Module, clip: Tensor) -> tuple[nn.Module, Tensor]:
    """Last module to end whose output has places, and the probabilities `[K]` of the clip.

    Raises:
        UserError: If there is none, as in a transformer.
    """
    ended: list[nn.Module] = []

    def note(module: nn.Module, _inputs: object, output: object) -> None:
        if isinstance(output, Tensor) and output.ndim in (4, 5) and min(output.shape[-2:]) > 1:
            ended.append(module)

    hooks = [module.register_forward_hook(note) for module in model.modules()]
    try:
        with torch.no_grad(), full_float32():
            logits = model(clip)
    finally:
        for hook in hooks:
            hook.remove()
    once = [module for module in ended if ended.count(module) == 1]
    if not once:
        raise UserError("the model has no step with places, such as that of a convolution")
    return once[-1], logits[0].float().softmax(dim=0)


def _heat(model: nn.Module, layer: nn.Module, clip: Tensor, label: int) -> NDArray[np.float32]:
    """Map of each frame `[T, H, W]`, from 0 to 1."""
    from captum.attr import LayerGradCam

    num_frames, height, width = clip.shape[2:]
    with full_float32():
        raw = LayerGradCam(model, layer).attribute(clip, target=label, relu_attributions=True)
    maps = raw.detach().float()
    # A 3D network gives [1, 1, t, h, w], a network of frames [T, 1, h, w], early fusion [1, 1, h, w].
    maps = maps if maps.ndim == 5 else maps.transpose(0, 1)[None]
    maps = torch.nn.functional.interpolate(maps, size=(num_frames, height, width), mode="trilinear")
    heat: NDArray[np.float32] = maps[0, 0].cpu().numpy()
    return heat / max(float(heat.max()), 1e-12)


def _frames(clip: Tensor, section: Clip) -> Pixels:
    """Frames of a normalised clip `[1, C, T, H, W]`, RGB first, as bytes `[T, H, W, 3]`."""
    mean, std = (np.array(each[:3], dtype=np.float32) for each in section.normalisation)
    frames = clip[0, :3].permute(1, 2, 3, 0).float().cpu().numpy() * std + mean
    shown: Pixels = np.clip(np.rint(255 * frames), 0, 255).astype(np.uint8)
    return shown


def _covered(frame: Pixels, heat: NDArray[np.float32]) -> Pixels:
    """Frame with a map over it."""
    levels = np.rint(255 * heat).astype(np.uint8)
    colors = cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)
    weight = _OPACITY * heat[..., None]
    return np.asarray(np.rint((1 - weight) * frame + weight * colors), dtype=np.uint8)
