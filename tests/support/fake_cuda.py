"""A CUDA device that is not there: torch's fake tensors follow devices, shapes and types, and hold no values.

A tensor that was left on the wrong device fails as it would on a GPU. What torch asks of a driver (events,
streams, pinned memory) is answered here, and counted. autograd's engine needs a real device, so the backward
pass gives each parameter an empty gradient of the right shape.

Host memory is real, so whatever runs in threads of its own (decoding, packing) runs as always.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Self

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode, unset_fake_temporarily
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

CUDA = torch.device("cuda", 0)
_READS = {
    torch.ops.aten._local_scalar_dense.default: lambda tensor: 0.0 if tensor.is_floating_point() else 0,
    torch.ops.aten.is_nonzero.default: lambda _tensor: False,
    torch.ops.aten.equal.default: lambda _tensor: True,
    # The size of the result is known on the device alone.
    torch.ops.aten.nonzero.default: lambda tensor: tensor.new_empty((0, tensor.ndim), dtype=torch.int64),
    torch.ops.aten.masked_select.default: lambda tensor: tensor.new_empty(0),
}
_WITHOUT_FAKE = {
    torch.ops.aten._fused_sgd_.default: lambda _args: None,
    torch.ops.aten._thnn_fused_gru_cell.default: lambda args: (
        torch.empty_like(args[2]),
        args[2].new_empty((args[2].shape[0], 5 * args[2].shape[1])),
    ),
}
"""Kernels of CUDA of which torch has no fake."""
_COPIES = {torch.ops.aten._to_copy.default, torch.ops.aten.to.dtype_layout}


@dataclass(frozen=True)
class Copy:
    """A copy from the host to the device."""

    dtype: torch.dtype
    num_bytes: int
    is_pinned: bool
    is_async: bool
    stream: str


@dataclass
class Traffic:
    """What crossed between host and device.

    Attributes:
        reads: Operations for which the host waits until the device has computed their value.
        async_reads: Copies to pinned host memory, for which it does not wait.
        waits: Events that the host waited for.
        stream_waits: Events that the computing stream waits for.
        recorded: Tensors of the copying stream that are known to be used by the computing one.
        copies: Copies to the device.
        events: Type of each copy to the device, and what a test notes between them, in order.
    """

    reads: list[str] = field(default_factory=list)
    async_reads: int = 0
    waits: int = 0
    stream_waits: int = 0
    recorded: int = 0
    copies: list[Copy] = field(default_factory=list)
    events: list[str] = field(default_factory=list)

    def clear(self) -> None:
        """Count from here on."""
        self.__init__()  # type: ignore[misc]

    def take_reads(self) -> list[str]:
        """What was read since the last call."""
        reads, self.reads = self.reads, []
        return reads

    def note(self, event: str) -> None:
        """Note something among the copies."""
        self.events.append(event)


class _Stream:
    """Stands for `torch.cuda.Stream`."""

    def __init__(self, device: Any = None, *, name: str = "copying", traffic: Traffic | None = None) -> None:
        self.name, self.traffic = name, traffic

    def record_event(self) -> _Event:
        return _Event(None)

    def wait_event(self, event: _Event) -> None:
        if self.traffic is not None:
            self.traffic.stream_waits += 1


class _Event:
    """Stands for `torch.cuda.Event`."""

    def __init__(self, traffic: Traffic | None) -> None:
        self._traffic = traffic

    def record(self, stream: _Stream | None = None) -> None:
        pass

    def synchronize(self) -> None:
        if self._traffic is not None:
            self._traffic.waits += 1


class _Dispatch(TorchDispatchMode):
    """Counts what crosses, and answers what the host reads with zeros."""

    def __init__(self, cuda: FakeCuda) -> None:
        super().__init__()
        self._cuda = cuda

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = dict(kwargs or {})
        inputs = [leaf for leaf in tree_leaves((args, given)) if isinstance(leaf, Tensor)]
        on_device = any(tensor.device.type == "cuda" for tensor in inputs)
        if func in _READS and on_device:
            self._cuda.traffic.reads.append(str(func))
            return _READS[func](inputs[0])
        if func in _WITHOUT_FAKE:
            assert {tensor.device for tensor in inputs} == {CUDA}, func
            return _WITHOUT_FAKE[func](args)
        if func in _COPIES:
            target = torch.device(given.get("device") or inputs[0].device)
            if on_device and target.type == "cpu":
                return self._to_host(args[0], given)
            if not on_device and target.type == "cuda":
                self._note(args[0], is_async=bool(given.get("non_blocking")))
                return torch.empty(args[0].shape, dtype=given.get("dtype") or args[0].dtype, device=target)
        if func is torch.ops.aten.copy_.default and inputs[0].device != inputs[1].device:
            is_async = bool(given.get("non_blocking") or (len(args) > 2 and args[2]))
            if inputs[0].device.type == "cpu":
                if is_async and self._cuda.is_pinned(inputs[0]):
                    self._cuda.traffic.async_reads += 1
                else:
                    self._cuda.traffic.reads.append(str(func))
                with unset_fake_temporarily():
                    return inputs[0].zero_()
            self._note(inputs[1], is_async=is_async)
        return func(*args, **given)

    def _to_host(self, tensor: Tensor, given: Mapping[str, Any]) -> Tensor:
        self._cuda.traffic.reads.append(f"copy of {list(tensor.shape)} to the host")
        with unset_fake_temporarily():
            return torch.zeros(tensor.shape, dtype=given.get("dtype") or tensor.dtype)

    def _note(self, tensor: Tensor, *, is_async: bool) -> None:
        self._cuda.traffic.note(str(tensor.dtype).removeprefix("torch."))
        self._cuda.traffic.copies.append(
            Copy(tensor.dtype, tensor.nbytes, self._cuda.is_pinned(tensor), is_async, self._cuda.stream.name)
        )


class _Functions(TorchFunctionMode):
    """Gives each parameter behind a loss on the device a gradient, as autograd's engine would."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func is Tensor.backward and args[0].device.type == "cuda":
            for param in _leaves_behind(args[0]):
                param.grad = torch.zeros_like(param)
            return None
        if func is Tensor.numpy and type(args[0]) is Tensor:
            with unset_fake_temporarily():
                return func(*args)
        return func(*args, **(kwargs or {}))


def _leaves_behind(loss: Tensor) -> list[Tensor]:
    found, seen, nodes = [], set(), [loss.grad_fn]
    while nodes:
        node = nodes.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if (leaf := getattr(node, "variable", None)) is not None:
            found.append(leaf)
        nodes += [following for following, _ in node.next_functions]
    return found


class FakeCuda:
    """Within it, `cuda:0` is there.

    Attributes:
        traffic: What crossed between host and device.
        stream: Stream on which the host queues its work.
    """

    def __init__(self) -> None:
        self.traffic = Traffic()
        self.main = _Stream(name="computing", traffic=self.traffic)
        self.stream = self.main
        self._pinned: set[StorageWeakRef] = set()

    def is_pinned(self, tensor: Tensor) -> bool:
        """Whether the memory of a host tensor was asked for as pinned."""
        return StorageWeakRef(tensor.untyped_storage()) in self._pinned

    def pinned(self, tensor: Tensor) -> Tensor:
        """Remember that the memory of a host tensor is pinned; the tensor."""
        self._pinned.add(StorageWeakRef(tensor.untyped_storage()))
        return tensor

    @contextmanager
    def queued_on(self, stream: _Stream) -> Iterator[None]:
        """Stands for `torch.cuda.stream`."""
        before, self.stream = self.stream, stream
        try:
            yield
        finally:
            self.stream = before

    def record(self, _tensor: Tensor, _stream: _Stream) -> None:
        """Stand for `Tensor.record_stream`."""
        self.traffic.recorded += 1

    @classmethod
    @contextmanager
    def there(cls, monkeypatch: pytest.MonkeyPatch) -> Iterator[Self]:
        """Make the device be there for the calling thread."""
        cuda = cls()
        empty, from_numpy = torch.empty, torch.from_numpy

        def new(*shape: Any, pin_memory: bool = False, **chosen: Any) -> Tensor:
            if not pin_memory:
                return empty(*shape, **chosen)
            with unset_fake_temporarily():
                return cuda.pinned(empty(*shape, **chosen))

        def real_from_numpy(array: Any) -> Tensor:
            with unset_fake_temporarily():
                return from_numpy(array)

        def pin_of(tensor: Tensor) -> Tensor:
            with unset_fake_temporarily():
                return cuda.pinned(tensor.clone())

        for where, name, stand_in in (
            # cuDNN asks the driver for the properties of the device.
            (torch.backends.cudnn, "enabled", False),
            (torch, "empty", new),
            (torch, "from_numpy", real_from_numpy),
            (Tensor, "pin_memory", pin_of),
            (Tensor, "is_pinned", lambda tensor: cuda.is_pinned(tensor)),
            (Tensor, "record_stream", lambda tensor, stream: cuda.record(tensor, stream)),
            (torch.cuda.amp.common, "amp_definitely_not_available", lambda: False),
            (torch.cuda, "is_bf16_supported", lambda **_: True),
            (torch.cuda, "get_device_name", lambda _device=None: "no device"),
            (torch.cuda, "mem_get_info", lambda _device=None: (80 * 2**30, 80 * 2**30)),
            (torch.cuda, "get_per_process_memory_fraction", _fraction),
            (torch.cuda, "Event", lambda: _Event(cuda.traffic)),
            (torch.cuda, "Stream", _Stream),
            (torch.cuda, "current_stream", lambda _device=None: cuda.stream),
            (torch.cuda, "stream", cuda.queued_on),
        ):
            monkeypatch.setattr(where, name, stand_in)
        # Parameters are replaced, not changed in place: fake tensors cannot be swapped.
        monkeypatch.setattr(nn.Module, "to", _moved)
        with FakeTensorMode(allow_non_fake_inputs=True), _Dispatch(cuda), _Functions():
            yield cuda


def _fraction(device: int | None = None) -> float:
    """Stand for `torch.cuda.get_per_process_memory_fraction`, which refuses a device without a number."""
    assert device is None or isinstance(device, int)
    return 1.0


def _moved(module: nn.Module, device: torch.device | str) -> nn.Module:
    """Stands for `nn.Module.to`: a parameter on the device in place of each one on the host."""
    for part in module.modules():
        for name, param in part._parameters.items():
            if param is not None:
                there = nn.Parameter(_empty(param, device), param.requires_grad)
                part._parameters[name] = there
        for name, buffer in part._buffers.items():
            if buffer is not None:
                part._buffers[name] = _empty(buffer, device)
        if isinstance(part, nn.RNNBase):  # it keeps a second list of its weights
            part._flat_weights = [getattr(part, name) for name in part._flat_weights_names]
    return module


def _empty(tensor: Tensor, device: torch.device | str) -> Tensor:
    return torch.empty(tensor.shape, dtype=tensor.dtype, device=device)
