"""Flow fields beside the frames, in any layout except that of the course; `data.source` selects them.

    root/train/Lunges/video_1/img_00001.jpg flow_x_00001.jpg flow_y_00001.jpg ...

A CSV manifest may give another folder of the fields in a column `flows`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from vidcls.choices import Source
from vidcls.data.decoding.flow import PICTURE_BOUND_PX
from vidcls.data.decoding.frame_folders import FrameFolder, look_into
from vidcls.data.listing.listing import ListedVideo, Listing, Problem
from vidcls.errors import UserError

_NO_FLOW = "no video has flow fields in its folder (flow_x_00001.jpg and flow_y_00001.jpg, or flow_1_2.npy)"


def with_flows(listing: Listing, *, root: Path, source: Source) -> Listing:
    """Listing with the files that `source` selects, and a note on how they are read.

    Raises:
        UserError: If `source` has no effect, or selects missing files.
    """
    found = next(filter(None, map(_flow_of, listing.entries)), None)
    if source == "auto":
        # If there is only flow, it is read without a choice.
        return listing if found is None else _noted(listing, *found, source=source)
    if found is None or source == "videos":
        raise UserError(
            f"data.source: {source} has no effect here: "
            f"{_NO_FLOW if found is None else 'there is nothing to choose'}",
            hint="leave data.source out; clip.modality=flow computes flow",
        )
    are_folders = any(entry.path.is_dir() for entry in listing.entries)
    if source in ("videos+flows", "frames+flows") and source.startswith("videos") == are_folders:
        right = "frames+flows" if are_folders else "videos+flows"
        raise UserError(
            f"data.source: {source}, but {root} has no {source.partition('+')[0]}",
            hint=f"data.source={right}",
        )
    if source != "frames":
        entries = tuple(_reading(entry, with_frames=source != "flows") for entry in listing.entries)
        listing = replace(listing, layout=f"{listing.layout} ({source})", entries=entries)
    return _noted(listing, *found, source=source)


def _flow_of(entry: ListedVideo) -> tuple[Path, FrameFolder] | None:
    folder = entry.flows or entry.path
    if not folder.is_dir():
        return None
    found = look_into(folder)
    return (folder, found) if found.fields else None


def _reading(entry: ListedVideo, *, with_frames: bool) -> ListedVideo:
    folder = entry.flows or entry.path
    path = entry.path if with_frames else folder
    return replace(entry, path=path, flows=folder, has_frames=with_frames)


def _noted(listing: Listing, folder: Path, found: FrameFolder, *, source: Source) -> Listing:
    is_picture = len(found.fields[0]) > 1
    reads_flow = "flows" in source or (source == "auto" and found.only_fields)
    if reads_flow and not is_picture:
        return listing
    scale = (
        f"grey levels of flow_x and flow_y pictures are read as (level - 128) x {2 * PICTURE_BOUND_PX} "
        f"/ 255 px, the bound of {PICTURE_BOUND_PX} px of TSN and mmaction; if your pictures have another "
        "bound, change clip.std"
    )
    unread = (
        f"{folder}, and perhaps other folders, contain flow fields, which are not read; set "
        f"data.source=flows clip.modality=flow to read these, or data.source=frames+flows "
        "clip.modality=rgb+flow to read both"
    )
    note = Problem("flow", scale if reads_flow else unread)
    return replace(listing, problems=(*listing.problems, note))
