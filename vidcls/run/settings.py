"""Settings of a run once more in its provenance, as JSON: thousands of runs are read without parsing YAML.

`spec.yaml` is what counts, for a user may read it, edit it or damage it. The provenance holds the settings
together with a digest of that file: where the file has other content by now, it is read itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from vidcls.spec.experiment import Spec
from vidcls.spec.show import plain

RECORD = "spec"
"""Key of the settings in the provenance of a run."""


def settings_record(spec: Spec, text: str) -> dict[str, Any]:
    """Record of the settings for the provenance.

    Args:
        spec: Spec of the run.
        text: Content of its `spec.yaml`.
    """
    return {"digest": _digest(text.encode()), "settings": plain(spec)}


def recorded_settings(provenance: Mapping[str, Any], content: bytes) -> dict[str, Any] | None:
    """Settings that the provenance records, as `plain` gives them.

    Args:
        provenance: Provenance of a run.
        content: Content of its `spec.yaml` now.

    Returns:
        Settings; None if they are not recorded, or if `spec.yaml` has changed since then.
    """
    match provenance.get(RECORD):
        case {"digest": digest, "settings": dict() as settings} if digest == _digest(content):
            return settings
        case _:
            return None


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()
