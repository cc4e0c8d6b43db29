"""Uploads a report to Weights & Biases: its page and its figures, as a W&B run of the type `report`."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Mapping
from pathlib import Path

from vidcls.errors import VidclsError, reason_of
from vidcls.spec.sections import TrackingSection
from vidcls.tracking.client import quiet_settings
from vidcls.tracking.sync import UPLOAD_TIMEOUT_S


def upload_report(page: Path, pictures: Mapping[Path, str], *, title: str, section: TrackingSection) -> str:
    """Upload the files of a report.

    Args:
        page: Its page.
        pictures: Caption of each picture.
        title: Name of the W&B run.
        section: Tracking section with project and entity.

    Returns:
        The W&B run as `entity/project/id`.

    Raises:
        VidclsError: If not everything was sent.
    """
    import wandb

    try:
        with tempfile.TemporaryDirectory() as folder:
            run = wandb.init(
                mode="online",
                reinit="create_new",
                job_type="report",
                project=section.project,
                entity=section.entity,
                name=title,
                dir=folder,
                settings=quiet_settings("online", finish_timeout_s=UPLOAD_TIMEOUT_S),
            )
            figures = {
                f"report/{path.stem}": wandb.Image(str(path), caption=caption)
                for path, caption in pictures.items()
            }
            run.log({"report/page": wandb.Html(page.read_text(), inject=False), **figures})
            name = f"{run.entity}/{run.project}/{run.id}"
            run.finish()
            return name
    except Exception as error:  # any error of the client
        with contextlib.suppress(Exception):
            wandb.teardown()
        raise VidclsError(
            f"{page.parent}: the report was written, but not everything was sent: {reason_of(error)}",
            hint="give the same command again when the network works",
        ) from error
