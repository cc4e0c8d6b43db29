"""Motion as input, from the spec to predictions on files."""

from __future__ import annotations

import numpy as np
import pytest

import vidcls
from tests.support.training import Experiment, train_here
from vidcls.evaluate.predictions import load_predictions


@pytest.mark.long
@pytest.mark.parametrize("modality", ["flow", "difference"])
def test_a_run_on_motion_predicts_files_as_it_was_validated(experiment: Experiment, modality: str) -> None:
    spec = experiment.spec(clip__modality=modality, model={"kind": "early_fusion"}, train__epochs=1)
    run = train_here(spec)
    stored = load_predictions(run.predictions_file("val", "best"))
    root = experiment.data / "videos" / "val"
    paths = {str(path.relative_to(root).with_suffix("")): path for path in root.rglob("v_*")}
    # The store was read there; here the files are decoded anew, and their flow computed.
    predictions = vidcls.load(run.folder).predict([paths[name] for name in stored.ids[:5]])
    logits = np.stack([prediction.logits for prediction in predictions if prediction.logits is not None])
    np.testing.assert_allclose(logits, stored.logits[:5], atol=1e-5)
