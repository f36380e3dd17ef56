"""Mutants of C files: one changed number or operator each, all of them in one program.

Each function of a file is copied once for each of its mutants, and a variable selects the active copy. So one
compilation serves all mutants of a network, and each mutant runs in a fork of a process that has read its data already.
A mutant is noticed if a value, a potential, an output or the class differs from the reference, if another byte of the
state differs from that of the file without a mutant, or if the program ends by a signal or computes too long.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sewdsl.exchange.write.c.run_file import MULTIPLIER, SampleTrace, find_compiler, run_reference
from sewdsl.exchange.write.c.write_file import write_c
from sewdsl.integers.network import IntegerNetwork
from sewdsl.integers.value import Integers
from sewdsl.light_dataclass import dataclass

OPERATORS = {
    "+": "-",
    "-": "+",
    "*": "+",
    "/": "*",
    "%": "/",
    "<<": ">>",
    ">>": "<<",
    "&": "|",
    "|": "&",
    "<": "<=",
    "<=": "<",
    ">": ">=",
    ">=": ">",
    "==": "!=",
    "!=": "==",
    "&&": "||",
    "||": "&&",
    "+=": "-=",
    "-=": "+=",
}
TOKEN = re.compile(
    r"/\*.*?\*/|\"[^\"]*\"|(?<= )(?P<operator><<|>>|[<>=!]=|&&|\|\||[-+]=|[-+*/%<>&|])(?= )"
    r"|(?<![\w.])(?P<number>\d+)\b|\bNET_LANES_\d+"
)
FUNCTION = re.compile(
    r"^(?P<head>(?:static |void |int )[^;{}=]*?\b(?P<name>(?!__attribute__)\w+)\((?P<arguments>[^{};]*)\)) \{\n"
    r"(?P<body>.*?)^\}$",
    re.MULTILINE | re.DOTALL,
)
MACROS = re.compile(
    r"(?<=#define NET_BIT\(bits, i\) )\(.*\)(?=\n)|(?<=_list\[).*(?=\];)|(?<=_ends\[).*(?=\];)"
    r"|(?<=\[\(i\) >> 3\] = \(uint8_t\)\().*(?=\)\)\n)|(?<=rows, )\(row\) \* \(copies\)|(?<=room, )0(?=\})"
)
"""Expressions of macros. The others select instructions or types."""
KERNEL = re.compile(r"\b(conv_at|conv_events|fire|pool_\w+?|attend|list_events|step)_(?:(?!vectors)\w)+?(_vectors)?\b")
VECTORS = "conv_events", "conv_events_vectors", "list_events"
"""Kernels with vectors, which ``-DNET_LANES=0`` leaves out."""
WRITTEN = "net_step", "net_reset", "net_run", "step"
"""Functions that are written for a network, with its sizes."""
WIDEST = "-mavx512bw", "-mavx512vl", "-mavx512vbmi2"
ADDRESSES = "-fsanitize=address,undefined", "-fno-sanitize-recover=all"
"""Flags with which a mutant that only reads or writes beyond an array is noticed."""


class Mutant(NamedTuple):
    """Changed token of a function, or of the expression of a macro.

    Attributes:
        key: Content that identifies equal changes of several files: the kernel, the line without names, types and sizes
            of a network, the position of the token in the line and its replacement.
        original: Name of the function in the file, or the expression.
        text: Changed body of the function, or the changed expression.
    """

    key: str
    original: str
    text: str


@dataclass(frozen=True)
class Trial:
    """Network whose file is mutated.

    Attributes:
        n: Input.
        flags: Flags of the compiler.
    """

    name: str
    network: IntegerNetwork
    n: Integers
    flags: tuple[str, ...] = ("-DNET_LANES=0",)

    @cached_property
    def source(self) -> str:
        """C file."""
        return write_c(self.network).source

    @cached_property
    def expected(self) -> SampleTrace:
        """Results of the reference."""
        return run_reference(self.network, self.n)

    @cached_property
    def mutants(self) -> dict[str, list[Mutant]]:
        """Mutants of the file by key."""
        by_key: dict[str, list[Mutant]] = {}
        vectors = "-DNET_LANES=0" not in self.flags
        for expression in MACROS.finditer(self.source):
            if vectors or "bits" in expression[0]:
                for place, replacement, changed in _changes(expression[0]):
                    key = f"macro: {expression[0]} [{place}: {replacement}]"
                    by_key.setdefault(key, []).append(Mutant(key, expression[0], changed))
        for function in FUNCTION.finditer(self.source):
            name, start = KERNEL.sub(r"\1\2", function["name"]), 0
            is_compiled = vectors or name not in VECTORS
            for line in function["body"].splitlines(keepends=True):
                if line.startswith("#if"):
                    is_compiled = WIDEST[-1] in self.flags
                elif line.startswith("#endif"):
                    is_compiled = True
                elif is_compiled:
                    shown, is_written = _shown(line), name in WRITTEN
                    for place, replacement, changed in _changes(line, sizes=is_written):
                        key = f"{name}: {_without_sizes(shown) if is_written else shown} [{place}: {replacement}]"
                        body = function["body"][:start] + changed + function["body"][start + len(line) :]
                        by_key.setdefault(key, []).append(Mutant(key, function["name"], body))
                start += len(line)
        return by_key


def _changes(text: str, *, sizes: bool = False) -> Iterator[tuple[int, str, str]]:
    """Yield the position of each token in a text, its replacement and the changed text.

    Args:
        sizes: Whether numbers are sizes of a network, of which keys contain only the change.
    """
    for place, token in enumerate(TOKEN.finditer(text)):
        if token["operator"]:
            replacements = {OPERATORS[token["operator"]]: OPERATORS[token["operator"]]}
        elif token["number"]:
            number = int(token["number"])
            replacements = {
                f"{number + change}": f"{change:+}" if sizes else f"{number + change}" for change in (1, -1)
            }
            if not number:
                del replacements["-1"]
        else:
            continue
        for replacement, shown in replacements.items():
            yield place, shown, text[: token.start()] + replacement + text[token.end() :]


def _shown(line: str) -> str:
    """Return a line of a kernel without types and numbers of sums in a vector."""
    line = re.sub(r"\bu?int(8|16|32)_t\b", "T", KERNEL.sub(r"\1\2", line.strip()))
    return re.sub(r"\bNET_LANES_\d+", "LANES", line)


def _without_sizes(line: str) -> str:
    """Return a line that was written for a network, without its names and sizes."""
    line = re.sub(r"(?<=state->)(?!started|t\b)\w+", "s", line)
    line = re.sub(r"(?<![\w.])\d+\b", "N", line)
    line = re.sub(r"\b([a-z]+?)\d*(_\d)?_(?!events|at\b|sum\b|max\b|step\b|t\b)\w+(?=\W)", r"\1", line)
    return re.sub(r"\b([tvxb])\d+\b", r"\1", line)


PROGRAM = """
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>
static void *read_all(int32_t count, int32_t size) {
    void *data = malloc((size_t)count * (size_t)size + 1);
    if (fread(data, (size_t)size, (size_t)count, stdin) != (size_t)count) abort();
    return data;
}
int main(void) {
    const int32_t *head = read_all(4, 4), samples = head[0], size = head[1], frame = head[2], count = head[3];
    const uint8_t *in = read_all(samples * size, 1);
    const int32_t *outputs = read_all(samples * NET_OUT, 4), *classes = read_all(samples, 4);
    const int32_t row = NET_T * 2 * NET_STEPS;
    const uint32_t *sums = read_all(samples * row, 4);
    const int32_t *numbers = read_all(count, 4);
    uint32_t *states = mmap(0, 4 * (size_t)(samples * row), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    for (int m = 0; m < count; m++) {
        const pid_t child = fork();
        if (child == 0) {
            const struct itimerval limit = {{0, 0}, {1, 0}};
            setitimer(ITIMER_VIRTUAL, &limit, 0);
            net_state *state = malloc(sizeof(net_state));
            state_bytes = (uint8_t *)state;
            state_size = sizeof(net_state);
            for (size_t i = 0; i < state_size; i++) state_bytes[i] = (uint8_t)(i * 89 + 3);
            int32_t out[NET_OUT];
            mutant = numbers[m];
            for (int32_t k = 0; k < samples; k++) {
                net_reset(state);
                for (int32_t t = 0; t < NET_T; t++) {
                    expected_sums = sums + k * row + t * 2 * NET_STEPS;
                    expected_states = states + k * row + t * 2 * NET_STEPS;
                    net_step(state, in + k * size + t * frame, out);
                }
                expected_sums = 0;
                if (net_run(state, in + k * size, out) != classes[k]) _exit(1);
                for (int i = 0; i < NET_OUT; i++) if (out[i] != outputs[k * NET_OUT + i]) _exit(1);
            }
            _exit(0);
        }
        int status = 0;
        waitpid(child, &status, 0);
        if (status == 0) printf("%d\\n", numbers[m]);
    }
    return 0;
}
"""
SEEN = f"""#define _DEFAULT_SOURCE
#include <stddef.h>
#include <stdint.h>
static int mutant;
static const uint32_t *expected_sums;
static uint32_t *expected_states;
static uint8_t *state_bytes;
static size_t state_size;
extern void _exit(int);
/* Compare the whole state with that of the file without a mutant, which runs first. */
static void compare(int index, uint32_t seen) {{
    if (!expected_sums) return;
    uint32_t sum = 0;
    for (size_t i = 0; i < state_size; i++) sum = sum * 31u + state_bytes[i];
    if (seen != expected_sums[index] || (mutant && sum != expected_states[index])) _exit(1);
    expected_states[index] = sum;
}}
#define SEEN_BY(index, value, count) do {{ uint32_t sum_ = 0; \\
    for (int32_t i_ = 0; i_ < (count); i_++) sum_ += (uint32_t)(value) * ((uint32_t)i_ * {MULTIPLIER}u + 1u); \\
    compare(index, sum_); }} while (0)
#define NET_SEEN(index, values, count) SEEN_BY(index, (values)[i_], count)
#define NET_SEEN_BITS(index, bits, count) SEEN_BY(index, (bits)[i_ >> 3] >> (i_ & 7) & 1, count)
"""


def survivors(trial: Trial, chosen: Sequence[Mutant], folder: Path, *flags: str) -> list[Mutant]:
    """Return the mutants that nothing notices."""
    left = dict(enumerate(chosen, 1))
    while True:
        text = SEEN + _with_mutants(trial.source, left.items()) + PROGRAM
        (folder / "net.c").write_text(text, encoding="utf-8")
        command = [find_compiler() or "", "-std=gnu99", "-O0", "-w", *trial.flags, *flags, "-o", "net", "net.c"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if not done.returncode:
            break
        # A mutant that the compiler rejects is noticed.
        rejected = {int(number) for number in re.findall(r"^mutant(\d+):.*error", done.stderr, re.MULTILINE)}
        assert rejected, done.stderr
        left = {number: mutant for number, mutant in left.items() if number not in rejected}
    network, expected = trial.network, trial.expected
    data = np.ascontiguousarray(trial.n if network.static else trial.n.swapaxes(0, 1)).astype(np.uint8)
    head = len(data), data[0].size, 0 if network.static else data[0].size // network.T, len(left) + 1
    classes = expected.outputs[:, : network.readouts[0].bias.size].argmax(1)
    parts = [np.array(head, np.int32), data, *(x.astype(np.int32) for x in (expected.outputs, classes))]
    parts += [expected.checksums, np.array([0, *left], np.int32)]
    options = {"ASAN_OPTIONS": "detect_leaks=0"}
    run = subprocess.run(
        [str(folder / "net")], env=options, input=b"".join(x.tobytes() for x in parts), capture_output=True, check=True
    )
    none, *numbers = map(int, run.stdout.split())
    assert none == 0, "the file without a mutant differs from the reference"
    return [left[number] for number in numbers]


def _with_mutants(source: str, chosen: Iterable[tuple[int, Mutant]]) -> str:
    """Return a C file with copies of its functions and expressions, which a variable selects."""
    copies: dict[str, list[tuple[int, str]]] = {}
    for number, mutant in chosen:
        copies.setdefault(mutant.original, []).append((number, mutant.text))

    def expression(match: re.Match[str]) -> str:
        cases = "".join(f"mutant == {number} ? ({text}) : " for number, text in copies.get(match[0], ()))
        return f"({cases}({match[0]}))" if cases else match[0]

    def function(match: re.Match[str]) -> str:
        name, mutants = match["name"], copies.get(match["name"])
        # Inlined copies would multiply with those of the functions that call them.
        head = match["head"].replace(" inline __attribute__((always_inline))", "")
        if not mutants:
            return match[0]
        arguments = ", ".join(re.findall(r"(\w+)(?=,|$)", match["arguments"]))
        result = "return " if head.startswith("int ") else ""
        parts, cases = [], []
        for number, body in [(0, match["body"]), *mutants]:
            copy = re.sub(rf"\b{name}\(", f"{name}_mutant{number}(", head)
            parts.append(f'#line 1 "mutant{number}"\n{copy} {{\n{body}}}')
            case = f"case {number}" if number else "default"
            cases.append(f"        {case}: {result}{name}_mutant{number}({arguments}); break;\n")
        parts.append(f'#line 1 "file"\n{head} {{\n    switch (mutant) {{\n{"".join(cases)}    }}\n}}')
        return "\n".join(parts)

    return FUNCTION.sub(function, MACROS.sub(expression, source))
