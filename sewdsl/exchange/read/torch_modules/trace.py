"""Tracing of a module: its ``forward`` runs on a tensor with a shape but no data.

Known layers are added to the draft without running them. The ``forward`` of any other module runs unchanged: its
operations on the tensor are added too, or rejected if sewdsl cannot express them. A ``forward`` that depends on the
data fails. The result therefore holds for all inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import Enum
from functools import partial, wraps
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from sewdsl.exchange.read.draft import Draft, ScaleOp, SourcePart, UnsupportedPart
from sewdsl.exchange.read.torch_modules.shared_modules import CALLED_TWICE, ModuleCall
from sewdsl.ir.op import Op
from sewdsl.ops.layers.conv import Conv
from sewdsl.ops.layers.linear import Linear
from sewdsl.ops.layers.pool import AvgPool
from sewdsl.ops.layers.shapes import Flatten


class LeadingAxes(Enum):
    """Leading axes of a tensor, before those of a feature map or vector."""

    SEQUENCE = "[T, N, *]"
    FOLDED = "[T·N, *]"
    STEP = "[N, *]"


class MemoryVersion:
    """Number of in-place writes to memory that several tensors share."""

    writes = 0


class TracedTensor(Tensor):
    """Tensor without data that refers to an item of the draft."""

    run: Trace
    draft_index: int
    form: LeadingAxes
    complement: bool
    """Whether the tensor is 1 minus the item."""
    is_read_out: bool
    """Whether the tensor is reduced over time."""
    _shared: MemoryVersion
    _seen: int

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Dispatch a PyTorch function to the trace that the tensor belongs to."""
        traced = [value for value in (*args, *(kwargs or {}).values()) if isinstance(value, TracedTensor)]
        if not traced:  # The tensors are in a list argument.
            list_items = [item for value in args if isinstance(value, list | tuple) for item in value]
            traced = [value for value in list_items if isinstance(value, TracedTensor)]
        return traced[0].run.function(func, tuple(args), dict(kwargs or {}))

    def checked(self) -> TracedTensor:
        """Return the tensor, or fail if it was modified in place through another tensor."""
        if self._seen != self._shared.writes:
            raise self.run.refusal("reads a tensor that was modified in place through another tensor")
        return self


class TorchVocabulary(NamedTuple):
    """Functions that a ``forward`` may call."""

    harmless: frozenset[str]
    """Names of functions that query shapes and properties only."""
    functions: Mapping[str, Callable[..., Any]]
    """Translations by function name. Each takes the trace and the arguments of the function."""


class Trace:
    """Trace of one run of a module.

    Attributes:
        sizes: (T, N).
        readout: Reduction over time in the module, or None.
        repeated: Items of constant inputs that were repeated T times.
        calls: Innermost call of a module around each item.
    """

    def __init__(self, draft: Draft, sizes: tuple[int, int], dtype: torch.dtype, vocabulary: TorchVocabulary) -> None:
        self.draft, self.sizes, self._vocabulary = draft, sizes, vocabulary
        self.readout: str | None = None
        self.repeated: set[int] = set()
        self.calls: dict[int, ModuleCall] = {}
        self._dtype = dtype
        self._module_stack: list[tuple[SourcePart, ModuleCall]] = []
        self._call_count = 0
        self._used: set[int] = set()
        self._charged: set[int] = set()
        self._owners: dict[tuple[int, ...], int] = {}

    def run(self, model: nn.Module, form: LeadingAxes) -> Any:
        """Call a model with its traced inputs, by name if they have names."""
        named = {self.draft.items[index].origin.name: self.tensor(index, form) for index in self.draft.inputs}
        return model(**named) if named else model(self.tensor(0, form))

    def lead(self, form: LeadingAxes) -> tuple[int, ...]:
        """Return the lengths of the leading axes of a form."""
        T, N = self.sizes
        return {LeadingAxes.SEQUENCE: (T, N), LeadingAxes.FOLDED: (T * N,), LeadingAxes.STEP: (N,)}[form]

    def tensor(
        self, item: int, form: LeadingAxes, *, like: TracedTensor | None = None, complement: bool = False
    ) -> TracedTensor:
        """Return a traced tensor of an item. It shares the memory of ``like``."""
        shape = (*self.lead(form), *self.draft.shape(item))
        data = torch.empty(shape, dtype=self._dtype, device="meta")
        tensor: TracedTensor = Tensor._make_subclass(TracedTensor, data)  # noqa: SLF001 -- the way to do it
        tensor.run, tensor.draft_index, tensor.form, tensor.complement = self, item, form, complement
        tensor.is_read_out = like is not None and like.is_read_out
        tensor._shared = MemoryVersion() if like is None else like._shared  # noqa: SLF001
        tensor._seen = tensor._shared.writes  # noqa: SLF001
        return tensor

    def add(self, op: Op, *reads: TracedTensor, **tensors: Tensor | None) -> TracedTensor:
        """Add an operation of the current module, and return its output."""
        first = reads[0]
        for each in reads:
            if each.checked().complement:
                raise self.refusal("reads 1 - x, which is supported in products of spikes only")
            if each.form is not first.form or each.is_read_out != first.is_read_out:
                raise self.refusal(f"combines {each.form.value} and {first.form.value}")
        # build_network() puts the readout at the end: the operation must commute with it.
        if first.is_read_out and not _commutes(op, self.readout):
            raise self.refusal(
                f"is {op.kind if hasattr(op, 'kind') else 'a factor'} after the {self.readout} over all time-steps"
            )
        item = self.draft.add(op, [each.draft_index for each in reads], self.origin, **tensors)
        self.calls[item] = self._module_stack[-1][1]
        output = self.tensor(item, first.form)
        output.is_read_out = first.is_read_out
        return output

    def overwritten(self, old: TracedTensor, new: TracedTensor) -> TracedTensor:
        """Return the old tensor with the new content, as after an in-place operation."""
        old._shared.writes += 1  # noqa: SLF001
        old._seen = old._shared.writes  # noqa: SLF001
        old.draft_index, old.complement, old.is_read_out = new.draft_index, new.complement, new.is_read_out
        return old

    @property
    def origin(self) -> SourcePart:
        """Current module."""
        return self._module_stack[-1][0]

    def refusal(self, why: str) -> UnsupportedPart:
        """Return an error about the current module. ``why`` is the predicate of the message."""
        return self.origin.refusal(why)

    def looping(self) -> UnsupportedPart:
        """Return the error for a module that accesses single time-steps."""
        hint = "import the inner network and pass steps"
        return self.refusal(f"accesses single time-steps; if it loops over time, {hint}")

    def function(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Translate the call of a PyTorch function on tensors of this trace."""
        name = getattr(func, "__name__", str(func))
        # Properties such as x.shape are dispatched as the __get__ of their descriptor.
        if name == "__get__":
            name = f"{getattr(getattr(func, '__self__', None), '__name__', '')}.__get__"
        if name in self._vocabulary.harmless:
            with torch._C.DisableTorchFunctionSubclass():  # noqa: SLF001 -- the documented way
                return func(*args, **kwargs)
        if name not in self._vocabulary.functions:
            module = getattr(func, "__module__", None) or "torch.Tensor"
            name = getattr(func, "__name__", str(func))
            raise self.refusal(f"calls {module}.{name}, which has no equivalent in sewdsl")
        return self._vocabulary.functions[name](self, *args, **kwargs)

    def share(self, output: TracedTensor, *owners: object) -> TracedTensor:
        """Return the output of a layer, which uses the weights of an earlier layer with the same owners.

        Args:
            owners: Module or parameters with the weights.

        Raises:
            UnsupportedPart: If some of the owners were used with other ones.
        """
        key = tuple(id(owner) for owner in owners if owner is not None)
        if key in self._owners:
            self.draft.change(output.draft_index, weights=self._owners[key], tensors={})
        elif not self._used.isdisjoint(key):
            raise self.refusal(CALLED_TWICE)
        self._owners.setdefault(key, output.draft_index)
        self._used.update(key)
        return output

    @contextmanager
    def watching(self, model: nn.Module, find_leaf: Callable[[nn.Module], Leaf | None]) -> Iterator[None]:
        """Replace the ``forward`` of all submodules within the context: known layers are added to the draft."""
        originals: list[tuple[nn.Module, str, Any]] = []

        def replace_method(module: nn.Module, name: str, method: Callable[..., Any]) -> None:
            originals.append((module, name, module.__dict__.get(name)))
            module.__dict__[name] = method

        try:
            for name, module in model.named_modules():
                # A module with a replaced forward may compute anything: trace it.
                leaf = None if "forward" in module.__dict__ else find_leaf(module)
                origin = SourcePart(name, f"{type(module).__module__}.{type(module).__qualname__}")
                replace_method(module, "forward", self._wrapped(module, origin, leaf))
                if leaf is not None and hasattr(module, "v_threshold"):
                    replace_method(module, "reset", partial(self._charged.discard, id(module)))
            yield
        finally:
            for module, name, original in originals:
                if original is None:
                    del module.__dict__[name]
                else:
                    module.__dict__[name] = original

    def _wrapped(self, module: nn.Module, origin: SourcePart, leaf: Leaf | None) -> Callable[..., Any]:
        """Return a ``forward`` that adds the module if it is known, else runs the original in the module's scope."""
        original_forward = module.forward
        has_weights = bool(module.state_dict())

        @wraps(original_forward)
        def forward(*args: Any, **kwargs: Any) -> Any:
            self._call_count += 1
            outer = self._module_stack[-1][1] if self._module_stack else None
            self._module_stack.append((origin, ModuleCall(origin.name, self._call_count, outer, has_weights)))
            try:
                if leaf is None:
                    return original_forward(*args, **kwargs)
                if len(args) != 1 or kwargs or not isinstance(args[0], TracedTensor):
                    raise self.refusal("takes several arguments, or one that is not computed from the input")
                # A second call continues with the membrane potential, unless it is reset.
                if id(module) in self._charged:
                    raise self.refusal(CALLED_TWICE)
                if hasattr(module, "v_threshold"):
                    self._charged.add(id(module))
                output = leaf(self, module, args[0])
                # Stateless modules may be called several times.
                return self.share(output, module) if has_weights else output
            finally:
                self._module_stack.pop()

        return forward


Leaf = Callable[[Trace, Any, TracedTensor], TracedTensor]
"""Translation of a module with one input tensor. Returns the output."""


def _commutes(op: Op, readout: str | None) -> bool:
    """Return whether an operation commutes with the readout over time."""
    if isinstance(op, Conv | Linear):
        return readout != "sum" or not op.bias
    return isinstance(op, ScaleOp | AvgPool | Flatten)
