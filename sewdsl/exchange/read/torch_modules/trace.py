"""What a module does with its input, seen from a run with a tensor that has a shape but no numbers.

Layers that are known are not run: they are written down. Of everything else, a module's own ``forward`` runs as it is,
and what it does with the tensor is written down too, or refused where the language has no word for it. A ``forward``
that looked at numbers would fail, so that nothing depends on which were in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import Enum
from functools import wraps
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from sewdsl.exchange.read.draft import Draft, ScaleOp, SourcePart, UnsupportedPart
from sewdsl.ir.op import Op
from sewdsl.ops.layers.conv import Conv
from sewdsl.ops.layers.linear import Linear
from sewdsl.ops.layers.pool import AvgPool
from sewdsl.ops.layers.shapes import Flatten


class LeadingAxes(Enum):
    """The axes of a tensor before those of a map or a vector."""

    SEQUENCE = "[T, N, *]"
    FOLDED = "[T·N, *]"
    STEP = "[N, *]"


class MemoryVersion:
    """How often the memory was written to that some tensors share."""

    number = 0


class TracedTensor(Tensor):
    """A tensor without numbers, which knows what gives it.

    Attributes:
        place: Index of the item in the draft.
        complement: Whether it is 1 minus what the item gives.
        read: Whether the time-steps have become one.
    """

    run: Trace
    place: int
    form: LeadingAxes
    complement: bool
    read: bool
    _shared: MemoryVersion
    _seen: int

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Hand a function of torch to the run that the tensor belongs to."""
        given = [value for value in (*args, *(kwargs or {}).values()) if isinstance(value, TracedTensor)]
        if not given:  # in a list of tensors
            found = [item for value in args if isinstance(value, list | tuple) for item in value]
            given = [value for value in found if isinstance(value, TracedTensor)]
        return given[0].run.function(func, tuple(args), dict(kwargs or {}))

    def checked(self) -> TracedTensor:
        """Return the tensor, if its memory was not written to through another one."""
        if self._seen != self._shared.number:
            raise self.run.refusal("reads what was changed in place, through another tensor that shares its memory")
        return self


class TorchVocabulary(NamedTuple):
    """What a ``forward`` may call.

    Attributes:
        harmless: Names of functions that only ask for the shape and the like.
        functions: What is called for each function, by its name; it takes the run, and the function's arguments.
    """

    harmless: frozenset[str]
    functions: Mapping[str, Callable[..., Any]]


class Trace:
    """One run.

    Attributes:
        sizes: T, N.
        readout: How the time-steps became one, if they did.
        repeated: Whether a static input was repeated T times.
    """

    def __init__(self, draft: Draft, sizes: tuple[int, int], dtype: torch.dtype, vocabulary: TorchVocabulary) -> None:
        self.draft, self.sizes, self._vocabulary = draft, sizes, vocabulary
        self.readout: str | None = None
        self.repeated = False
        self._dtype = dtype
        self._way: list[SourcePart] = []
        self._used: set[int] = set()

    def input(self, form: LeadingAxes) -> TracedTensor:
        """Return the input of the module."""
        return self.tensor(0, form)

    def lead(self, form: LeadingAxes) -> tuple[int, ...]:
        """Return the lengths of the axes of a form."""
        T, N = self.sizes
        return {LeadingAxes.SEQUENCE: (T, N), LeadingAxes.FOLDED: (T * N,), LeadingAxes.STEP: (N,)}[form]

    def tensor(
        self, item: int, form: LeadingAxes, *, like: TracedTensor | None = None, complement: bool = False
    ) -> TracedTensor:
        """Return a tensor of an item; ``like``: whose memory it shares."""
        shape = (*self.lead(form), *self.draft.shape(item))
        data = torch.empty(shape, dtype=self._dtype, device="meta")
        made: TracedTensor = Tensor._make_subclass(TracedTensor, data)  # noqa: SLF001 -- the way to do it
        made.run, made.place, made.form, made.complement = self, item, form, complement
        made.read = like is not None and like.read
        made._shared = MemoryVersion() if like is None else like._shared  # noqa: SLF001
        made._seen = made._shared.number  # noqa: SLF001
        return made

    def add(self, op: Op, *reads: TracedTensor, **tensors: Tensor | None) -> TracedTensor:
        """Add an operation of the module at hand; return its output."""
        first = reads[0]
        for each in reads:
            if each.checked().complement:
                raise self.refusal("reads 1 - x, which only a product of spikes may do")
            if each.form is not first.form or each.read != first.read:
                raise self.refusal(f"reads {each.form.value} and {first.form.value} together")
        if first.read and not _commutes(op, self.readout):
            raise self.refusal(
                f"is {op.kind if hasattr(op, 'kind') else 'a factor'} after the {self.readout} over all time-steps"
            )
        item = self.draft.add(op, [each.place for each in reads], self.origin, **tensors)
        made = self.tensor(item, first.form)
        made.read = first.read
        return made

    def overwritten(self, old: TracedTensor, new: TracedTensor) -> TracedTensor:
        """Return the old tensor, in whose memory the new one is put."""
        old._shared.number += 1  # noqa: SLF001
        old._seen = old._shared.number  # noqa: SLF001
        old.place, old.complement, old.read = new.place, new.complement, new.read
        return old

    @property
    def origin(self) -> SourcePart:
        """The module at hand."""
        return self._way[-1]

    def refusal(self, why: str) -> UnsupportedPart:
        """Return the error that the module at hand is unsupported, for words that go on after its name."""
        return self.origin.refusal(why)

    def looping(self) -> UnsupportedPart:
        """Return the error for a module that takes one time-step after the other."""
        inner = "give the inner network, which it calls for each, and steps"
        return self.refusal(f"takes single time-steps: if it loops over them itself, {inner}")

    def function(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return the result of a function of torch for tensors of this run."""
        name = getattr(func, "__name__", str(func))
        if name == "__get__":
            name = f"{getattr(getattr(func, '__self__', None), '__name__', '')}.__get__"
        if name in self._vocabulary.harmless:
            with torch._C.DisableTorchFunctionSubclass():  # noqa: SLF001 -- the documented way
                return func(*args, **kwargs)
        if name not in self._vocabulary.functions:
            module = getattr(func, "__module__", None) or "torch.Tensor"
            name = getattr(func, "__name__", str(func))
            raise self.refusal(f"calls {module}.{name}, which has no place in the language")
        return self._vocabulary.functions[name](self, *args, **kwargs)

    def once(self, owner: object) -> None:
        """Note that a module, or a parameter, was used.

        Raises:
            UnsupportedPart: it was used before.
        """
        if id(owner) in self._used:
            shared = "is called twice; its weights or its potential would be shared"
            loop = "if that is a loop over time-steps, give the inner network, which is called for each, and steps"
            raise self.refusal(f"{shared} ({loop})")
        self._used.add(id(owner))

    @contextmanager
    def watching(self, model: nn.Module, known: Callable[[nn.Module], Leaf | None]) -> Iterator[None]:
        """Add known layers of a module to the draft when they are called, while the context lasts."""
        changed: list[tuple[nn.Module, Any]] = []
        try:
            for name, module in model.named_modules():
                leaf = None if "forward" in module.__dict__ else known(module)
                origin = SourcePart(name, f"{type(module).__module__}.{type(module).__qualname__}")
                changed.append((module, module.__dict__.get("forward")))
                module.__dict__["forward"] = self._wrapped(module, origin, leaf)
            yield
        finally:
            for module, before in changed:
                if before is None:
                    del module.__dict__["forward"]
                else:
                    module.__dict__["forward"] = before

    def _wrapped(self, module: nn.Module, origin: SourcePart, leaf: Leaf | None) -> Callable[..., Any]:
        inner = module.forward

        @wraps(inner)
        def forward(*args: Any, **kwargs: Any) -> Any:
            self._way.append(origin)
            try:
                if leaf is None:
                    return inner(*args, **kwargs)
                if len(args) != 1 or kwargs or not isinstance(args[0], TracedTensor):
                    raise self.refusal("reads what does not come from the input, or more than one tensor")
                if module.state_dict() or hasattr(module, "v_threshold"):
                    self.once(module)
                return leaf(self, module, args[0])
            finally:
                self._way.pop()

        return forward


Leaf = Callable[[Trace, Any, TracedTensor], TracedTensor]
"""What writes a module down that reads one tensor; what it gives."""


def _commutes(op: Op, readout: str | None) -> bool:
    """Return whether an operation gives the same before and after the readout over time."""
    if isinstance(op, Conv | Linear):
        return readout != "sum" or not op.bias
    return isinstance(op, ScaleOp | AvgPool | Flatten)
