"""Checks of pretrained weights: are they on this machine, since jobs have no internet, and do they fit?"""

from __future__ import annotations

from collections.abc import Iterator

from vidcls.campaign.preflight.finding import PreflightFinding, PreflightRequest
from vidcls.errors import UserError
from vidcls.spec.experiment import Spec


def check_weights(asked: PreflightRequest) -> Iterator[PreflightFinding]:
    """Load the weights of each distinct model; one finding per file."""
    seen: set[object] = set()
    found: dict[str, PreflightFinding] = {}
    for candidate in asked.candidates:
        spec = candidate.spec
        # Settings on which the weights and their path depend.
        wanted = [(type(single), single.backbone, single.weights) for single in spec.model.singles()]
        key = (*wanted, spec.clip, spec.store_dir)
        if key in seen or not any(weights for _, _, weights in wanted):
            continue
        seen.add(key)
        for finding in _load(spec):
            found.setdefault(finding.found, finding)
    yield from found.values()


def _load(spec: Spec) -> Iterator[PreflightFinding]:
    import torch

    from vidcls.models.build import build
    from vidcls.models.inputs import input_clip
    from vidcls.models.weights.catalogue import weights_dir_of
    from vidcls.models.weights.load import load_pretrained

    try:
        with torch.random.fork_rng(devices=[]):
            model = build(spec.model, num_classes=2, clip=input_clip(spec.model, spec.clip))
        loaded = load_pretrained(model, spec.model, weights_dir=weights_dir_of(spec.store_dir))
    except UserError as error:
        yield PreflightFinding.of(
            "weights" if error.message.partition(":")[0].endswith(".weights") else "model", error
        )
        return
    for one in loaded:
        size_mb = one.file.stat().st_size / 1e6
        yield PreflightFinding("weights", "ok", f"{one.backbone} starts from {one.file}, {size_mb:.1f} MB")
