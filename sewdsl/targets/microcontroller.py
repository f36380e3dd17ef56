"""Microcontrollers of any size, which run the C file that sewdsl writes."""

from __future__ import annotations

import re
from dataclasses import replace
from math import prod

from sewdsl.ir.network import Network
from sewdsl.light_dataclass import dataclass
from sewdsl.targets.integer_sizes import IntegerSizes
from sewdsl.targets.target import Citation, Fit, Misfit, Row, Target, at_most

_SIZE = r"(\d{1,9})([KM]?)B"
_NAME = re.compile(f"mcu:(?:{_SIZE}|flash={_SIZE},ram={_SIZE})", re.IGNORECASE)
OPTIONS = {
    "RAM": (4, False, ""),
    "RAM, packed": (4, True, " --pack"),
    "RAM, 16 bits": (2, False, " --state 16"),
    "RAM, 16 bits, packed": (2, True, " --state 16 --pack"),
}
"""Bytes of a potential, whether spikes are bits, and options of the export, by column."""
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
            "flash: weights of 8 bits, and at most the constants that trained weights can require",
            "RAM: potentials of 32 bits, or 16 with '--state 16', and values, with spikes as bytes, or bits: '--pack'",
        )

    def check(self, network: Network) -> Fit:
        sizes, nodes, hint = IntegerSizes(network), network.nodes, "reduce the channels or the size of the feature map"
        refused = ((nodes[i], reason.partition("; ")) for i, reason in sizes.refused.items())
        misfits = [Misfit(node, text, remedy or "export net.onnx instead") for node, (text, _, remedy) in refused]
        layers: dict[str, list[int]] = {}
        for step in sizes.steps:
            states = (prod(step.member(width, packed=packed)) for width, packed, _ in OPTIONS.values())
            before = layers.get(step.name, [0] * (1 + len(OPTIONS)))
            layers[step.name] = [a + b for a, b in zip(before, (step.tables, *states), strict=True)]
        flash, *potentials = (sum(column) for column in zip(*layers.values(), strict=True))
        flash += sizes.outputs
        rams = [sizes.state_size(width, packed=packed) for width, packed, _ in OPTIONS.values()]
        values = (ram - size for ram, size in zip(rams, potentials, strict=True))
        shared = [("outputs", [sizes.outputs, *[0] * len(OPTIONS)]), ("values", [0, *values])]
        smallest = 1 + rams.index(min(rams))
        for column, total, limit, what in ((0, flash, self.flash, "flash"), (smallest, min(rams), self.ram, "RAM")):
            used = [layers[node.name][column] if node.name in layers else 0 for node in nodes]
            misfits += at_most(nodes[used.index(max(used))], total, limit, f"bytes of {what} in all layers", hint)
        shared += [("all", [flash, *rams]), ("available", [self.flash, *[self.ram] * len(OPTIONS)])]
        rows: list[Row] = [
            {"layer": name, "flash": flash, **dict(zip(OPTIONS, rams, strict=True))}
            for name, (flash, *rams) in (*layers.items(), *shared)
            if flash or any(rams)
        ]
        unknown = self.unknown
        if sizes.has_equations:
            bounds = "bounds of potentials: they depend on the weights; 'sewdsl export' rejects neurons beyond 32 bits"
            unknown = (bounds, *unknown)
        if sizes.estimated:
            unknown = ("RAM: an estimate, because layers add or read currents; 'sewdsl export' states it", *unknown)
        fitting = (option for (*_, option), ram in zip(OPTIONS.values(), rams, strict=True) if ram <= self.ram)
        return Fit(tuple(misfits), tuple(rows), unknown, next(fitting, "").strip())


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
