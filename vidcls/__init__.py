"""vidcls: train, evaluate and compare video classifiers. One YAML file describes one experiment.

From Python: `vidcls.train`, `vidcls.load`, `vidcls.runs` and `vidcls.compare`. All errors are
`vidcls.VidclsError`, those of a request `vidcls.UserError`. Everything else may change without notice.
"""

from __future__ import annotations

from vidcls.api import compare, load, runs, train
from vidcls.errors import UserError, VidclsError

__all__ = ["UserError", "VidclsError", "compare", "load", "runs", "train"]
