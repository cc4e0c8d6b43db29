"""Settings of a run once more in its provenance, as JSON: thousands of runs are read without parsing YAML.

`spec.yaml` is what counts, since a user may read it, edit it or damage it. The provenance holds the settings
together with a digest of them and of that file: where either has other content by now, the file is read.
"""

from __future__ import annotations

import hashlib
import json
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
    settings = plain(spec)
    return {"digest": _digest(text.encode(), settings), "settings": settings}


def recorded_settings(provenance: Mapping[str, Any], content: bytes) -> dict[str, Any] | None:
    """Settings that the provenance records, as `plain` gives them.

    Args:
        provenance: Provenance of a run.
        content: Content of its `spec.yaml` now.

    Returns:
        Settings; None if they are not recorded, or if they or `spec.yaml` have changed since then.
    """
    match provenance.get(RECORD):
        case {"digest": digest, "settings": dict() as settings} if digest == _digest(content, settings):
            return settings
        case _:
            return None


def _digest(content: bytes, settings: dict[str, Any]) -> str:
    both = content + json.dumps(settings, sort_keys=True).encode()
    return hashlib.blake2b(both, digest_size=16).hexdigest()
