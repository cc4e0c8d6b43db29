"""Describes an exported model: its classes, its input and where it comes from."""

from __future__ import annotations

from importlib.metadata import version

from vidcls.data.batches.raw_clips import raw_shape
from vidcls.data.decoding.flow import STEP_PX, STILL
from vidcls.data.modality import has_difference, has_flow, stored_channels, stores_frames_too
from vidcls.evaluate.restore import Restored
from vidcls.export.inputs import DatasetInput, ModelInput
from vidcls.predict.exported import INPUT, DatasetReading, Description, InputLayout, Parity, Reading
from vidcls.run.folder import Checkpoint
from vidcls.spec.sections import Clip

_COLOURS = ("red", "green", "blue")


def describe(
    restored: Restored,
    taken: ModelInput,
    *,
    which: Checkpoint,
    digest: str,
    leak_state: str,
    parity: Parity,
) -> Description:
    """Describe an exported model.

    Args:
        restored: Trained model.
        taken: Input of the graph.
        which: Checkpoint of the run.
        digest: Digest of the checkpoint file.
        leak_state: Leak state of the val split.
        parity: Agreement with the trained model.
    """
    spec = restored.spec
    data = spec.data
    return Description(
        version=version("vidcls"),
        classes=restored.classes,
        clip=restored.clip,
        reading=DatasetReading(target=taken.target)
        if isinstance(taken, DatasetInput)
        else Reading(source=data.source, decoder=data.decoder, timeout_s=data.timeout_s),
        input=_dataset_layout(taken) if isinstance(taken, DatasetInput) else _video_layout(taken.clip),
        experiment=spec.name,
        seed=spec.seed,
        fingerprint=restored.fingerprint,
        checkpoint=which,
        checkpoint_digest=digest,
        epoch=restored.epoch,
        leak_state=leak_state,
        parity=parity,
    )


def _dataset_layout(taken: DatasetInput) -> InputLayout:
    rule = f"clips as {taken.target} gives them"
    if taken.clip.modality == "rgb":
        mean, std = ([float(value) for value in values] for values in taken.clip.normalisation)
        rule += f"; if they are uint8: (x / 255 - mean) / std, with mean {mean} and std {std}"
    return InputLayout(
        name=INPUT,
        dtype="float32",
        shape=("batch", *taken.shape),
        axes="clips, channels, frames, rows, columns",
        channels=tuple(f"channel {number} of {taken.target}" for number in range(taken.shape[0])),
        clip_rule=rule,
    )


def _video_layout(clip: Clip) -> InputLayout:
    frames = "frames, each followed by the next frame of the video" if has_difference(clip) else "frames"
    if has_flow(clip):
        frames = "flow fields" if not stores_frames_too(clip) else "frames with the flow to the next frame"
    return InputLayout(
        name=INPUT,
        dtype="uint8",
        shape=("batch", *raw_shape(clip)),
        axes=f"clips, {frames}, rows, columns, channels",
        channels=_channels(clip),
        clip_rule=_clip_rule(clip),
    )


def _channels(clip: Clip) -> tuple[str, ...]:
    flow = tuple(f"{name} of the flow: {STILL} + {name} / {STEP_PX} px" for name in ("u", "v"))
    if not has_flow(clip):
        return _COLOURS
    channels = (*_COLOURS, *flow) if stores_frames_too(clip) else flow
    assert len(channels) == stored_channels(clip)
    return channels


def _clip_rule(clip: Clip) -> str:
    """What is done outside of the graph, in words."""
    num = clip.frames
    moments = "n frames" if not clip.has_motion else "n steps from one frame to the next"
    chosen = (
        f"floor(linspace(0, n - 1, {num}))"
        if clip.sampling == "uniform"
        else f"the middle of each of {num} equal segments, first + length // 2"
    )
    height, width = clip.size
    scaled = (
        f"scaled to {height} x {width}, whatever its aspect ratio"
        if clip.fit == "squeeze"
        else f"scaled so that it covers 8/7 of {height} x {width}, its centre cut out"
    )
    flow = (
        f"; flow by the method {clip.flow_method} of OpenCV on grey frames of the file's size, then scaled, "
        "or read where it is stored"
        if has_flow(clip)
        else ""
    )
    return (
        f"of {moments}, decoded in order and turned as the file says, the {num} with the indices {chosen}, "
        f"or floor(k n / {num}) if n < {num}; each frame {scaled}, by the mean of areas to shrink (frames of "
        "files by FFmpeg's swscale, SWS_AREA, while YUV becomes RGB; OpenCV's INTER_AREA gives slightly "
        f"different pixels) and bilinearly to enlarge (OpenCV){flow}; the graph normalises"
    )
