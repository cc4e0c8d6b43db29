"""The `optim` section: a union on `kind`."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from vidcls.spec.base import NonNegativeFloat, PositiveFloat, Probability, Section


class _Optim(Section):
    lr: PositiveFloat
    """Peak learning rate."""
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Factor of the learning rate from each stage of a backbone to the stage below it; the head has `lr`
    (arXiv:1801.06146)."""
    weight_decay: NonNegativeFloat
    """Weight decay. Applied to weights of two or more dimensions, not to norms and biases."""
    schedule: Literal["cosine", "constant"] = "cosine"
    """How the learning rate changes after the warm-up."""
    warmup_epochs: NonNegativeFloat = 1.0
    """Number of epochs in which the learning rate rises linearly from zero."""
    clip_norm: PositiveFloat | None = 1.0
    """Maximum norm of the gradient over all parameters (gradient clipping); null for no maximum."""


class AdamWSection(_Optim):
    """AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101)."""

    kind: Literal["adamw"] = "adamw"
    lr: PositiveFloat = 1e-3
    weight_decay: NonNegativeFloat = 0.05
    betas: tuple[Probability, Probability] = (0.9, 0.999)
    """Decay rates of the running averages of the gradient and its square."""


class SGDSection(_Optim):
    """Stochastic gradient descent with momentum."""

    kind: Literal["sgd"]
    lr: PositiveFloat = 0.05
    weight_decay: NonNegativeFloat = 1e-4
    momentum: Probability = 0.9
    nesterov: bool = True
    """Whether to use Nesterov momentum."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov: has no effect without momentum; set nesterov: false")
        return self


def _optim_kind(value: Any) -> Any:
    return value.get("kind", "adamw") if isinstance(value, dict) else getattr(value, "kind", None)


OptimSection = Annotated[
    Annotated[AdamWSection, Tag("adamw")] | Annotated[SGDSection, Tag("sgd")],
    # A function, so that `optim: {lr: 1e-4}` alone means AdamW.
    Discriminator(_optim_kind),
]
