"""Findings of an inspection for the user, each with a severity and advice. Pure functions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from vidcls.data.checks.inspect import Inspection
from vidcls.data.decoding.orientation import Orientation
from vidcls.data.decoding.workers import Failure

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
FindingKind = Literal[
    "missing",
    "empty",
    "unreadable",  # unknown container, or no frame in it
    "no_video",  # only sound
    "corrupt",  # a decode error, followed by more data
    "timeout",
    "crash",
    "data",  # about the data as a whole: its tables, classes, splits
    "truncated",
    "damaged",  # decode errors that the codec conceals
    "header_count",
    "header_duration",
    "black",
    "frozen",
    "changes_size",
    "duplicate",
    "no_timestamps",
    "variable_rate",
    "rotated",
    "read_as",  # conversion applied to its pictures
    "odd_size",
    "one_frame",
]

_REPLACE = "replace the file by a good copy, or leave it out: data.bad_videos=skip"
ADVICE: dict[FindingKind, str] = {
    "missing": "put the file there, or remove its row from the table",
    "empty": _REPLACE,
    "unreadable": _REPLACE,
    "no_video": _REPLACE,
    "corrupt": f"{_REPLACE}; frames after the error may be wrong",
    "timeout": "raise --timeout-s (data.timeout_s in training) if the file is long; otherwise leave it out",
    "crash": "leave it out: data.bad_videos=skip",
    "data": "vidcls data scan shows an overview of the data",
    "truncated": "replace the file by a good copy; until then, its frames before the end are used",
    "damaged": "watch it, or replace it by a good copy: parts of its pictures are wrong",
    "header_count": "nothing: vidcls counts the frames and ignores the header; other tools may take wrong "
    "frames",
    "header_duration": "watch the end of the video; all frames that are there are used",
    "black": "watch it: vidcls uses black frames like all other frames",
    "frozen": "watch it: it shows no motion",
    "changes_size": "watch it: each frame is scaled separately",
    "duplicate": "keep one of them, or put them into one group: vidcls data split",
    "no_timestamps": "nothing: vidcls reads frames in order; tools that seek may take wrong frames",
    "variable_rate": "nothing, if frames should be sampled by number and not by time",
    "rotated": "nothing: vidcls turns and mirrors frames as the file says; some tools do not",
    "read_as": "look at these pictures, if you did not know this",
    "odd_size": "nothing: frames are scaled; some encoders refuse such sizes",
    "one_frame": "leave it out if the classes depend on motion",
}

_DOUBTFUL_SHARE, _NOTED_SHARE = 0.5, 0.1  # shares of black or frozen frames
_LIE_SHARE, _LIE_FRAMES = 0.05, 5  # some encoders count a few frames too many or too few


@dataclass(frozen=True)
class VideoFinding:
    """Finding that the user should know.

    Attributes:
        kind: Kind of the finding.
        severity: `error`: the video cannot be used; `warning`: its content is doubtful; `note`: harmless.
        video: Id of the video; empty if the finding concerns the data as a whole.
        message: Description of the finding.
    """

    kind: FindingKind
    severity: Severity
    video: str
    message: str

    @property
    def advice(self) -> str:
        """Advice on what to do."""
        return ADVICE[self.kind]


def findings(video: str, outcome: Inspection | Failure) -> Iterator[VideoFinding]:
    """All findings from the inspection of one video."""
    if isinstance(outcome, Failure):
        kind: FindingKind = "unreadable" if outcome.kind == "other" else outcome.kind
        yield VideoFinding(kind, "error", video, outcome.reason)
        return
    yield from _about_its_end(video, outcome)
    yield from _about_its_pictures(video, outcome)
    yield from _about_its_form(video, outcome)


def _about_its_end(video: str, seen: Inspection) -> Iterator[VideoFinding]:
    num_frames, promised = seen.probe.num_frames, seen.header_frames
    if seen.stopped is not None:
        of = f" of {promised}" if promised else ""
        yield VideoFinding(
            "truncated", "warning", video, f"ends after {num_frames}{of} frames: {seen.stopped}"
        )
    elif promised is not None and promised != num_frames:
        lie = promised - num_frames
        is_small = abs(lie) <= max(_LIE_FRAMES, _LIE_SHARE * num_frames)
        message = f"its header says {promised} frames, but {num_frames} can be decoded"
        if not is_small and lie > 0:
            message += ": the file is cut off, or the header is wrong"
        yield VideoFinding("header_count", "note" if is_small else "warning", video, message)
    elif promised is None and seen.duration_s is not None and seen.header_duration_s is not None:
        missing_s = seen.header_duration_s - seen.duration_s
        if missing_s > max(_LIE_SHARE * seen.duration_s, _LIE_FRAMES * seen.duration_s / num_frames):
            message = (
                f"its header says {seen.header_duration_s:.2f} s, but the frames last {seen.duration_s:.2f} s"
            )
            yield VideoFinding("header_duration", "warning", video, message)


def _about_its_pictures(video: str, seen: Inspection) -> Iterator[VideoFinding]:
    num_frames = seen.probe.num_frames
    if seen.num_damaged and not (seen.stopped and seen.num_damaged == 1):  # only the last frame, cut off
        why = f": {seen.complaint}" if seen.complaint else ""
        yield VideoFinding(
            "damaged", "warning", video, f"{seen.num_damaged} of {num_frames} frames are damaged{why}"
        )
    if num_frames == 1:
        yield VideoFinding("one_frame", "note", video, "has only one frame")
    kinds: tuple[tuple[FindingKind, int, int, str], ...] = (
        ("black", seen.num_black, num_frames, "frames are black"),
        ("frozen", seen.num_frozen, num_frames - 1, "frames are equal to the frame before"),
    )
    for kind, count, of, what in kinds:
        if of > 0 and count >= _NOTED_SHARE * of:
            severity: Severity = "warning" if count >= _DOUBTFUL_SHARE * of else "note"
            yield VideoFinding(kind, severity, video, f"{count} of {of} {what}")
    if seen.num_other_size:
        message = f"{seen.num_other_size} of {num_frames} frames have another size than the first frame"
        yield VideoFinding("changes_size", "warning", video, message)


def _about_its_form(video: str, seen: Inspection) -> Iterator[VideoFinding]:
    if seen.num_bad_stamps:
        b_frames = f", {seen.num_b_frames} B-frames" if seen.num_b_frames else ""
        message = f"{seen.num_bad_stamps} frames have a timestamp that is missing or out of order{b_frames}"
        yield VideoFinding("no_timestamps", "note", video, message)
    if seen.has_variable_rate and seen.stopped is None:  # missing frames leave gaps
        yield VideoFinding("variable_rate", "note", video, "frames have different durations")
    orientation = Orientation(seen.rotation // 90, seen.is_mirrored)
    if orientation != Orientation():
        yield VideoFinding("rotated", "note", video, str(orientation))
    for remark in seen.remarks:
        yield VideoFinding("read_as", "note", video, remark)
    height, width = seen.probe.height, seen.probe.width
    if seen.codec not in ("images", "fields") and (height % 2 or width % 2):
        yield VideoFinding("odd_size", "note", video, f"{width} x {height} px")
