"""Parameters of a class, for values that differ between its instances."""

from __future__ import annotations

import builtins
import re
from collections.abc import Iterator, Sequence

from sewdsl.exchange.write.source.expressions import Arg, Code, Literal, Resolve, free_name, is_variable
from sewdsl.ir.signal import Signal

Column = tuple[object, ...]
"""One value per instance."""
IN, OUT, STRIDE, PROJECTION = "in_channels", "channels", "stride", "projection"
PARAMS = frozenset({IN, OUT, STRIDE, PROJECTION})
_ARGUMENT = re.compile(r"([^\W\d]+)(-?\d+)")
_NAMES = {"c": OUT, "s": STRIDE}
MAX_WIDTH_MULTIPLE = 16
"""Maximum multiple of the width that is written as such."""

AXES = {2: "CL"}
"""Names of the axes of a shape by their number. The default is C, H and W."""


class Scope:
    """Constructor parameters of a class.

    Args:
        arguments: Arguments of the block for each instance, ``c128s2``. Empty if the class is not a block.
        taken: Names that no parameter may have.

    Attributes:
        params: Parameters in use, with the value of each instance.
    """

    def __init__(self, sources: Sequence[Signal], arguments: Sequence[str], taken: set[str]) -> None:
        self._sources, self._reserved_names = sources, {*taken, PROJECTION}
        self._block_parameters = _columns(arguments, self._reserved_names)
        inputs: Column = tuple(signal.channels for signal in sources)
        if self._block_parameters.get(OUT) != inputs:
            self._block_parameters = {IN: inputs, **self._block_parameters}
        self.params: dict[str, Column] = {}

    def at(self, positions: Sequence[int]) -> Resolve:
        """Return a resolver for values of these instances only."""
        return lambda values, arg: Literal(self._text([value.value for value in values], positions, arg))

    def add(self, name: str, column: Column) -> None:
        """Add a parameter."""
        self.params[name] = column

    def shape(self, signals: Sequence[Signal], positions: Sequence[int]) -> str:
        """Return a shape ``[T, N, channels, H', W']`` in terms that hold for all given instances."""
        if len({len(signal.shape) for signal in signals}) > 1:
            return "[T, N, *]"
        axes = [
            self._axis(axis, lengths, positions, AXES.get(len(signals[0].shape), "CHW"))
            for axis, lengths in enumerate(zip(*(s.shape for s in signals), strict=True))
        ]
        return f"[{', '.join(['T', 'N', *axes])}]"

    def _axis(self, axis: int, lengths: Sequence[int], positions: Sequence[int], names: str) -> str:
        """Return one axis of a shape: a number, a parameter or a letter."""
        widths = {column[0] for name, column in self.params.items() if name in {IN, OUT}}
        # A constant length is written as a number, unless it is a width, which has a parameter.
        if len(set(lengths)) == 1 and (axis or lengths[0] not in widths):
            return str(lengths[0])
        if len(self._sources) == 1:
            return str(lengths[0]) if len(set(lengths)) == 1 else f"{lengths[0]} to {lengths[-1]}"
        if len(lengths) == len(positions):
            if axis == 0:
                candidates = self._candidates(OUT, positions, lengths)
                return next((text for name, text in candidates if name in self.params), "C")
            if all(len(self._sources[i].shape) > axis for i in positions) and tuple(lengths) == tuple(
                self._sources[i].shape[axis] for i in positions
            ):
                return names[axis]
        return f"{names[axis]}'"

    def _text(self, values: Column | list[object], positions: Sequence[int], arg: Arg) -> object:
        """Return a value, or the parameter that represents values that differ. Add the parameter if needed."""
        # Generated code, e.g. a surrogate, is the same in all instances.
        if any(isinstance(value, Code) for value in values):
            return values[0]
        is_constant = len(set(values)) == 1
        for name, text in self._matching_parameters(arg, values, positions, is_constant=is_constant):
            if name not in self.params:
                self.params[name] = self._block_parameters[name]
            return Code(text)
        if is_constant:
            return values[0]
        name = free_name(arg.name, {*self._reserved_names, *self._block_parameters, *self.params})
        # Instances without this argument can have any value.
        column = [values[0]] * len(self._sources)
        for position, value in zip(positions, values, strict=True):
            column[position] = value
        self.params[name] = tuple(column)
        return Code(name)

    def _matching_parameters(
        self, arg: Arg, values: Sequence[object], positions: Sequence[int], *, is_constant: bool
    ) -> Iterator[tuple[str, str]]:
        """Yield the parameters with the given values, best first, with the code to write."""
        if arg.channels and (OUT in self._block_parameters or not is_constant):
            yield from self._candidates(arg.channels, positions, values)
        elif arg.name == STRIDE and not (is_constant and values[0] == 1):
            yield from self._equal([STRIDE], positions, values)
        if not is_constant:
            yield from self._equal([*self.params, *self._block_parameters], positions, values)

    def _candidates(
        self, channels: str, positions: Sequence[int], values: Sequence[object]
    ) -> Iterator[tuple[str, str]]:
        """Yield parameters for a number of channels: the width, the input channels, or a multiple of the width."""
        yield from self._equal([OUT], positions, values)
        if channels == "in":
            yield from self._equal([IN], positions, values)
        # Bottleneck blocks have, e.g., 4 * channels.
        if OUT in self._block_parameters:
            for factor in range(2, MAX_WIDTH_MULTIPLE + 1):
                if all(
                    isinstance(width := self._block_parameters[OUT][i], int) and factor * width == value
                    for i, value in zip(positions, values, strict=True)
                ):
                    yield OUT, f"{factor} * {OUT}"
        yield from self._equal([IN], positions, values)

    def _equal(
        self, names: Sequence[str], positions: Sequence[int], values: Sequence[object]
    ) -> Iterator[tuple[str, str]]:
        """Yield the parameters that have the given values."""
        for name in names:
            column = self.params.get(name) or self._block_parameters.get(name)
            if column and all(
                type(column[i]) is type(value) and column[i] == value
                for i, value in zip(positions, values, strict=True)
            ):
                yield name, name


def _columns(arguments: Sequence[str], taken: set[str]) -> dict[str, Column]:
    """Return the values of each parameter of a block by parameter name."""
    values_by_letter = [dict(_ARGUMENT.findall(text)) for text in arguments]
    common: list[str] = [
        letter for letter in values_by_letter[0] if all(letter in values for values in values_by_letter)
    ]
    names = {letter: _NAMES.get(letter, letter) for letter in common}
    return {
        name: tuple(int(values[letter]) for values in values_by_letter)
        for letter, name in names.items()
        # Other names would be invalid, or hide a name that the class uses.
        if is_variable(name) and name not in taken and not hasattr(builtins, name)
    }
