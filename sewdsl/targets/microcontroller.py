"""Microcontrollers of any size, which run the C file that sewdsl writes."""

from __future__ import annotations

import re
from dataclasses import replace

from sewdsl.analysis.memory_plan import BLOCKS, WIDTHS
from sewdsl.ir.network import Network
from sewdsl.ir.op import LinearNeuron
from sewdsl.light_dataclass import dataclass
from sewdsl.targets.integer_sizes import IntegerSizes
from sewdsl.targets.target import Citation, Fit, Misfit, Row, Target, at_most

_SIZE = r"(\d{1,9})([KM]?)B"
_NAME = re.compile(f"mcu:(?:{_SIZE}|flash={_SIZE},ram={_SIZE})", re.IGNORECASE)
UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20}


@dataclass(frozen=True, kw_only=True)
class Microcontroller(Target):
    """Memory of a microcontroller in bytes."""

    flash: int = 0
    ram: int = 0

    @property
    def limits(self) -> tuple[str, ...]:
        return (
            "layers that can be computed in integers",
            "flash: weights of 8 bits, thresholds and other constants of channels",
            "RAM: potentials of 32 bits, or 16 with 'sewdsl export --state 16', and values that share memory",
        )

    def check(self, network: Network) -> Fit:
        sizes, nodes, hint = IntegerSizes(network), network.nodes, "reduce the channels or the size of the feature map"
        misfits = [Misfit(nodes[i], reason, "replace it, or export to ONNX") for i, reason in sizes.refused.items()]
        linear = {node.name for node in nodes if isinstance(node.op, LinearNeuron)}
        layers: dict[str, list[int]] = {}
        for step in sizes.steps:
            delayed = WIDTHS[BLOCKS[step.format]]
            widths = (delayed, delayed) if step.role == "delay" else (4, 2) if step.name in linear else (4, 4)
            added = (step.tables, *(step.states * width for width in widths))
            layers[step.name] = [a + b for a, b in zip(layers.get(step.name, (0, 0, 0)), added, strict=True)]
        shared = [("outputs", [sizes.biases, 0, 0]), ("values", [0, sizes.values, sizes.values])]
        totals = [sum(column) for column in zip(*layers.values(), *(size for _, size in shared), strict=True)]
        for column, limit, what in ((0, self.flash, "flash"), (2, self.ram, "RAM")):
            used = [layers.get(node.name, [0, 0, 0])[column] for node in nodes]
            misfits += at_most(
                nodes[used.index(max(used))], totals[column], limit, f"bytes of {what} in all layers", hint
            )
        shared += [("all", totals), ("available", [self.flash, self.ram, self.ram])]
        rows: list[Row] = [
            {"layer": name, "flash": flash, "RAM": wide, "RAM, 16 bits": narrow}
            for name, (flash, wide, narrow) in (*layers.items(), *shared)
            if flash or wide
        ]
        unknown = self.unknown
        if sizes.estimated:
            unknown = ("RAM: an estimate, because layers add or read currents; 'sewdsl export' states it", *unknown)
        if totals[1] > self.ram >= totals[2]:
            unknown = ("RAM: potentials of 32 bits do not fit, use 'sewdsl export --state 16'", *unknown)
        return Fit(tuple(misfits), tuple(rows), unknown)


MCU = Microcontroller(
    name="mcu:SIZE",
    title="microcontroller with the C file of sewdsl: mcu:256KB or mcu:flash=512KB,ram=128KB, with 1 KB = 1,024 bytes",
    sources=(Citation("C files for microcontrollers", "docs/c.md"),),
    unknown=("code, stack and test samples: the linker of the microcontroller states their sizes",),
)


def parse_microcontroller(name: str) -> Microcontroller | None:
    """Return the target of ``mcu:SIZE`` or ``mcu:flash=SIZE,ram=SIZE``, or None for other names."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    both, unit, flash, flash_unit, ram, ram_unit = match.groups()
    sizes = [(both, unit)] * 2 if both else [(flash, flash_unit), (ram, ram_unit)]
    flash_bytes, ram_bytes = (int(number) * UNITS[letter.upper()] for number, letter in sizes)
    return replace(MCU, name=name, flash=flash_bytes, ram=ram_bytes)
