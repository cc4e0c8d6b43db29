"""The best epoch of a training."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from vidcls.train.loop import Metrics


@dataclass
class Best:
    """The best epoch so far, by val top-1, then by the lower val loss."""

    epoch: int | None = None
    metrics: Metrics | None = None

    def offer(self, epoch: int, row: Metrics) -> bool:
        """Take an epoch if it is better."""
        if self.metrics and _rank(row) <= _rank(self.metrics):
            return False
        self.epoch = epoch
        self.metrics = {key: value for key, value in row.items() if key.startswith(("train/", "val/"))}
        return True


def _rank(row: Metrics) -> tuple[float, float]:
    return row["val/top1"], -row["val/loss"]


def snapshot(model: nn.Module) -> dict[str, Tensor]:
    """The weights as they are now; what is frozen whole is not copied, as it never changes."""
    frozen = {id(param) for param in model.parameters() if not param.requires_grad}
    state: dict[str, Tensor] = model.state_dict(keep_vars=True)
    return {name: t.detach() if id(t) in frozen else t.detach().clone() for name, t in state.items()}
