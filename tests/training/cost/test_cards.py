"""GPUs by the names that clusters give them, and the least time that they need."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from vidcls.training.cost.cards import CARDS, Card, card_of
from vidcls.training.cost.counter import CostCounter, OperationCost
from vidcls.training.cost.roofline import roofline


@pytest.mark.parametrize(
    ("gpu_type", "mig", "name", "memory"),
    [
        ("a100", None, "A100 40 GB", 40e9),
        ("NVIDIA-A100-SXM4-80GB", None, "A100 80 GB", 80e9),
        ("tesla_v100", None, "V100 16 GB", 16e9),
        ("TeslaV100", None, "V100 16 GB", 16e9),
        ("TeslaA100_PCIE_40GB", None, "A100 40 GB", 40e9),
        ("v100-32gb", None, "V100 32 GB", 32e9),
        ("NVIDIA L40", None, "L40", 48e9),
        ("nvidia_l40s", None, "L40S", 48e9),
        ("a10g", None, "A10", 24e9),
        ("a100", "2/1", "2 slices of an A100 40 GB", 10e9),
        ("a100_80gb", " 7 ", "7 slices of an A100 80 GB", 80e9),
        ("H100", None, "H100 SXM", 80e9),
        (None, "1g.5gb", "1g.5gb of an A100 40 GB", 5e9),
        (None, "1g.10gb", "1g.10gb of an A100 80 GB", 10e9),
        ("a100", "3g.20gb", "3g.20gb of an A100 40 GB", 20e9),
        ("a100", "1g.10gb", "1g.10gb of an A100 80 GB", 10e9),
        ("h100", "1g.10gb", "1g.10gb of an H100 SXM", 10e9),
    ],
)
def test_a_card_is_known_by_the_name_of_the_profile(
    gpu_type: str | None, mig: str | None, name: str, memory: float
) -> None:
    card = card_of(gpu_type, mig)
    assert card is not None
    assert (card.name, card.memory_bytes) == (name, memory)
    is_sure = "gb" in f"{gpu_type} {mig}".lower() or not any(one in name for one in ("A100", "V100"))
    assert card.may_be_larger is not is_sure


@pytest.mark.parametrize(
    ("gpu_type", "mig"), [(None, None), ("some", None), (None, "2/1"), ("gtx1080", None), ("rtx_a1000", None)]
)
def test_what_is_not_known_is_not_guessed(gpu_type: str | None, mig: str | None) -> None:
    assert card_of(gpu_type, mig) is None


def test_a_slice_has_its_share() -> None:
    whole, part = CARDS["h100"], card_of("h100", "2g.20gb")
    assert part is not None
    assert part.half_flops == pytest.approx(whole.half_flops * 2 / 7)
    assert part.bytes_per_s == pytest.approx(whole.bytes_per_s / 4)


def test_each_operation_takes_the_longer_of_its_two_times() -> None:
    card = Card("x", 1e9, half_flops=100.0, float_flops=10.0, bytes_per_s=5.0)
    operations = [
        OperationCost(flops=200, num_bytes=5, is_half=True),  # 2 s of arithmetic, 1 s of moving
        OperationCost(flops=10, num_bytes=15, is_half=False),  # 1 and 3 s
        OperationCost(flops=0, num_bytes=5, is_half=False),
    ]
    bound = roofline(operations, card)
    assert bound.seconds == pytest.approx(2 + 3 + 1)
    assert bound.compute_share == pytest.approx(2 / 6)
    assert roofline([], card).seconds == 0


def test_a_counter_counts_operations_traffic_and_memory() -> None:
    layer = nn.Linear(4, 6, bias=False)
    batch = torch.zeros(3, 4)
    with torch.no_grad(), CostCounter([layer.weight, batch]) as counter:
        layer(batch)
        layer(batch)
    product = OperationCost(flops=2 * 3 * 4 * 6, num_bytes=4 * (3 * 4 + 4 * 6 + 3 * 6), is_half=False)
    assert [operation for operation in counter.operations if operation.flops] == [product] * 2
    assert counter.peak_bytes == product.num_bytes, "the first result is gone before the second is made"


def test_a_depthwise_gradient_costs_two_forward_passes() -> None:
    conv = nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False)
    clip = torch.zeros(2, 8, 5, 5, requires_grad=True)
    with CostCounter([]) as counter:
        conv(clip).sum().backward()
    forward = 2 * 2 * 8 * 5 * 5 * 9
    assert sum(operation.flops for operation in counter.operations) == 3 * forward
