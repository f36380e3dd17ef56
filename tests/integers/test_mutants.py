"""Tests notice each changed number and operator of the reference, of the laws of kinds and of the targets.

The checks are tests of this folder and of the targets, and the comparison with C: a changed reference computes other
values than before, which equal those of C (``tests/exchange/c/test_file.py``). A deep run judges all mutants, other
runs a sample.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import re
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from functools import cache, partial, wraps
from itertools import product
from types import CodeType, FrameType, ModuleType
from typing import Any, NamedTuple

import numpy as np
import pytest

import sewdsl.integers.steps
import sewdsl.targets
from sewdsl.exchange.write.c.run_file import SampleTrace, run_reference
from sewdsl.integers.build import IntegerFormat, NoIntegerLaw
from sewdsl.integers.steps.equations import INSTRUCTIONS
from tests.exchange.c import test_random_networks
from tests.integers import test_construction, test_laws, test_twins
from tests.integers.constructions import comparisons_of_constructions
from tests.integers.mutants import Mutant, mutants
from tests.integers.zoo import EQUATIONS, NETWORKS, Case, case
from tests.targets import test_targets

ONE_OF = 5
"""Number of mutants of which one is judged in the default run."""
SMALL = "all_potentials|saturate|leaky|skipped|several|later|instruction|two_integers"
"""Names of the tests of laws that take milliseconds, for the default run."""
COARSE = IntegerFormat(weight_bits=3, fraction_bits=0)
"""Few units per threshold, so that potentials equal thresholds."""
QUICK = "membrane shortcuts", "groups, dilation, rectangles", "tokens", "transposed", "attention", "gates of tokens"
SKIPPED = (
    "test_c_is_the_reference",
    "test_memory_is_that_of_the_compiler",
    "test_time_is_bounded",
    "test_unknown_names",
    "test_the_command_prints_misfits",
)
"""Tests that call a compiler, that take seconds, or whose words depend on parameters."""
EQUIVALENT = {
    "strict=True": "a guard: the lengths are equal",
    "float(source.value.factor) != 1 or source.value.high > value.high: [not source": (
        "a guard: values with the range of spikes or counts are integers in the unit 1"
    ),
    "float(x.value.factor) == 1 for x in operands): [x.value.binary": "the same",
    "(1 - a) & b": "1 + a has the lowest bit of 1 - a",
    "LIMIT = ": "bounds beyond that of a potential are refused, so that their values do not matter",
    "largest > LARGEST_POTENTIAL": "a bound of 2^30 is as good as the one below",
    ">= LIMIT:": "the same",
    "fired = np.minimum(lower, 0), upper - self.threshold [0 -> 1]": "a lower bound above 0 is no magnitude",
    "x = np.pad(x, ((0, 0), *((p, p)": "channels after the last are not read",
    "np.zeros((samples, 0)": "neurons without states have no elements",
    "self.kernel[0]), 1 / self.kernel[0]) [0 -> 1]": "kernels of vectors are square",
    "names[name] = least - (most - least) - 1": "wider bounds are bounds too",
    "[is_widened or not self.timed -> is_widened and": "bounds that a time-step keeps are those of later ones",
    "if self.states else 1, self.states [1": "no states have no width",
    "BOUND_STEPS = ": "wider bounds are bounds too",
    "change = np.zeros(2, np.int64)": "the first time-step replaces the value",
    "or not change.any() -> largest >= LARGEST_POTENTIAL and": "more time-steps change nothing",
    "[most <= self.threshold -> most < self.threshold]": "wider bounds are bounds too",
    "np.minimum(change[0], 0), upper + skipped * np.maximum(change[1], 0) [0 -> 1]": "bounds move in one direction",
    "is_padded = operation ==": "sizes of padded pools of currents are estimates",
    "GAINS = ": "other factors in general position require as many constants",
    "random, factors = ": "the same",
    "random.uniform(0.5, 1, shape)": "the same",
    'getattr(node.op, "v_threshold", 1.0), drifting)': "the same",
    "IntegerValue((1, 1, 2), 0, 1, *scale)": "the lowering of equations does not read height, width and bounds",
    "numbers.ndim <= 1": "shifts are numbers, vectors or maps, and never matrices",
    "largest = 2 if largest == 1 and output.values.lower else largest [2 -> 3]": "a bit has no sign, a byte has one",
    "largest=LARGEST_WEIGHT << 8) [8 -> 7]": "the value has 16 bits in both cases",
    "(-1, self.resets[0]) [1 -> 2]": "no number below 0 is a decay",
    "if node.name in layers else 0": "a layer without memory is named only if no layer has memory",
    "<= {*self.strides}": "a convolution has two strides, and a chip more",
    "default=0) [0 -> 1]": "a vector fits any size",
    "self.fan_out + 1), self.hidden(network) [1 -> 2]": "readers beyond the limit are not counted",
    "size = law.layer.inputs[0].shape[1:] [1 -> 0]": "the last two lengths of a window are read",
    "readers and self._index not in network.output_indices -> readers or": "files have no vectors as further outputs",
    # The construction.
    "strict=False": "a guard: the lengths are equal",
    "FRACTION_BITS = ": "a default, which the definition of a function has read",
    "growth <= 2 * MAX_PASSES -> growth < 2 * MAX_PASSES]": "the words of a message for a growth of exactly 80",
    "-> bound >= MAX_GROWTH * first": "a growth of exactly 2^16 is as good as the one below",
    "* 2 ** DELAYED_BITS < LIMITS": "a bound of exactly 2^31 - 1 is as good as the one below",
    "-> low <= LIMITS['int32'][0]]": "the same",
    "-> high >= LIMITS['int32'][1]]": "the same",
    "-> largest < LIMITS['int32'][1]]": "the same",
    "* terms < LIMITS['int32'][1]]": "2^31 - 1 is a prime number, and no product",
    "-> np.abs(weights / factor - integers).max() >= ON_GRID]": "the same for 1e-3",
    "-> 2 * factors * source.magnitude_by_channel < np.abs(shifts)]": "both weights are as good at the limit",
    "self._check_sum(0, high) [0 -> 1]": "products of counts are at least 0",
    "np.where(is_zero, 1.0, unit) [1.0 -> 2.0]": "0 divided by any unit is 0",
    "np.where(bound == 0, 1.0, unit) [1.0 -> 2.0]": "the same",
    "(unit or 1.0)) [1.0 -> 2.0]": "the same",
    "abs(gain or 1.0)) [1.0 -> 2.0]": "an input without gain reaches no threshold",
    "factor: Numbers = values[0].factor [0 -> 1]": "all operands have one factor, or the factor is replaced",
    '_combine("add", operands, values[0].factor, shift) [0 -> 1]': "all operands have one factor",
    '_combine("max", operands, values[0].factor) [0 -> 1]': "the same",
    "float(values[0].factor) > 0 for v in values): [0 -> 1]": "all factors are equal, if each equals any of them",
    "float(values[0].factor) for v in values): [0 -> 1]": "the same",
    "(*values[0].shape[:2], sum(v.shape[-1] for v in values)) [0 -> 1]": "all operands have one height and width",
    "(1, *source.shape)), rounded, window)[0] [1 -> 2]": "a second sample is not read",
    "np.ndim(self.shift) > 1 [1 -> 2]": "a shift has no axis, one or three",
    "step.bits // 8, step.elements * step.states) for _, step in self.neurons if step.states) [8 -> 7]": (
        "states have 16 or 32 bits"
    ),
    "flat = x.reshape(*x.shape[:2], -1).swapaxes(0, 1) [2 -> 3]": "maps are the only input",
    "(potentials[index]).max(initial=0)) [0 -> 1]": "bounds of potentials are at least 1",
    "{first, second} <= self._whole -> ": "the condition is an integer in the unit 1 too",
    "[1e-09 -> -0.999999999]": "a factor that is an integer has the same products with fraction bits",
    "max(0, min(MAX_SHIFT, FACTOR_BITS - ceil(log2(np.abs(ratio).max() + 1)))) [0 -> 1]": "bounds exclude such factors",
    "if x.ndim > 1 and (x == x[0]).all() else x for x in tables) [0 -> 1]": "all rows are equal",
    "shapes = ((*np.shape(number)[:-1], self._channels) for number in constants) [-1 -> 1]": "equal rows become one",
}
"""Parts of the lines of mutants that compute the same, with the reasons."""


class Check(NamedTuple):
    """Test of the reference.

    Attributes:
        codes: Functions of the package that it calls.
    """

    run: Callable[[], None]
    seconds: float
    codes: frozenset[CodeType]


def all_mutants() -> Iterator[Mutant]:
    # Tests of C files judge the expressions of C.
    written = {meaning.c.__code__ for meaning in INSTRUCTIONS.values()}
    yield from (x for x in mutants_of(sewdsl.integers.steps) if not {code for _, code in x.codes} & written)
    kinds = [module for name, module in sys.modules.items() if name.startswith(("sewdsl.ops.", "sewdsl.ir.op"))]
    for module in kinds:
        if any("integers" in vars(each) for each in vars(module).values() if isinstance(each, type)):
            yield from mutants(module, ("integers",))


def mutants_of(package: ModuleType, one_of: int = 1) -> Iterator[Mutant]:
    for module in pkgutil.iter_modules(package.__path__):
        yield from mutants(importlib.import_module(f"{package.__name__}.{module.name}"), one_of=one_of)


@pytest.mark.usefixtures("plain_pytorch")
def test_a_sample_of_mutants_is_noticed() -> None:
    floats = (partial(test_laws.test_outputs_are_near_those_of_floats, name, 0) for name in ("rows", *QUICK[:2]))
    formats = COARSE, IntegerFormat(state_bits=16)
    bounds = (each for each in parametrized(test_laws) if re.search(SMALL, each.func.__name__))
    quick = profiled([*comparisons(QUICK, formats), *floats, *bounds])
    reached = frozenset().union(*(check.codes for check in quick))
    sample = [
        x
        for x in mutants_of(sewdsl.integers.steps, ONE_OF)
        # Instructions need networks of equations, which take seconds.
        if {code for _, code in x.codes} & reached and not reason(x) and "<lambda>" not in x.key
    ]
    assert len(sample) > 8
    missed = [each for each in sample if not is_noticed(each, quick)]
    assert not [each.key for each in missed if not is_noticed(each, checks())]


@pytest.mark.deep
@pytest.mark.usefixtures("plain_pytorch")
def test_all_mutants_are_noticed() -> None:
    missed = [each.key for each in all_mutants() if not reason(each) and not is_noticed(each, checks())]
    assert not missed, "\n".join(missed)


@pytest.mark.deep
@pytest.mark.usefixtures("plain_pytorch")
def test_all_mutants_of_the_construction_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers of networks of the tests differ from those before, or a test fails."""
    # More samples of the same networks.
    monkeypatch.setattr(test_laws, "CHUNKS", 0)
    tests = [*parametrized(test_laws), *parametrized(test_construction)]
    missed = [each for each in mutants_of(sewdsl.integers) if not reason(each)]
    for stage in (comparisons_of_constructions(tests), tests):
        judges = sorted(profiled(stage), key=lambda check: check.seconds)
        missed = [each for each in missed if not is_noticed(each, judges)]
    assert not missed, "\n".join(each.key for each in missed)


@pytest.mark.deep
def test_all_mutants_of_targets_are_noticed() -> None:
    def judge(test: partial[None]) -> None:
        os.environ["PYTEST_CURRENT_TEST"] = f"tests/targets/test_targets.py::{test.func.__name__} (call)"
        test()

    judges = profiled(partial(judge, test) for test in parametrized(test_targets))
    missed = [each.key for each in mutants_of(sewdsl.targets) if not reason(each) and not is_noticed(each, judges)]
    assert not missed, "\n".join(missed)


def reason(mutant: Mutant) -> str:
    return next((why for part, why in EQUIVALENT.items() if part in mutant.key), "")


def is_noticed(mutant: Mutant, checks: Iterable[Check]) -> bool:
    """Return whether a check fails, or takes more than 20 s of the processor."""
    codes = {code for _, code in mutant.codes}
    handler = signal.signal(signal.SIGVTALRM, expire)
    try:
        with mutant.active(), np.errstate(all="ignore"):
            for check in checks:
                if not codes or codes & check.codes:
                    signal.setitimer(signal.ITIMER_VIRTUAL, 20)
                    check.run()
    except (Exception, pytest.fail.Exception):  # noqa: BLE001 -- any error of a test
        return True
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, handler)
    return False


def expire(_number: int, _frame: object) -> None:
    raise TimeoutError


@cache
def checks() -> list[Check]:
    """Return all checks, the fastest first."""
    formats = COARSE, IntegerFormat(), IntegerFormat(state_bits=16)
    tests = (each for module in (test_laws, test_twins, test_random_networks) for each in parametrized(module))
    return sorted(profiled([*comparisons(NETWORKS, formats), *tests]), key=lambda check: check.seconds)


def comparisons(names: Iterable[str], formats: Iterable[IntegerFormat]) -> Iterator[Callable[[], None]]:
    """Yield comparisons of the reference with its values before a change."""
    seeds = {name: index for index, name in enumerate(NETWORKS)}
    networks: list[tuple[str, int, str | None]] = [(name, seeds[name], None) for name in names]
    if len(networks) == len(NETWORKS):
        networks += [("sums of currents, equations", index, neuron) for index, neuron in enumerate(EQUATIONS)]
    for (name, seed, neuron), each in product(networks, formats):
        try:
            this = case(name, seed % 3, each, neuron=neuron)
        except NoIntegerLaw:
            continue
        expected = run_reference(this.network, this.n)
        yield partial(compare, this, expected)


def compare(this: Case, expected: SampleTrace) -> None:
    trace = run_reference(this.network, this.n)
    assert np.array_equal(trace.checksums, expected.checksums)
    assert np.array_equal(trace.outputs, expected.outputs)


def parametrized(module: ModuleType) -> Iterator[partial[None]]:
    """Yield the tests of a module with all of their parameters."""
    for name, function in vars(module).items():
        if not name.startswith("test_") or name in SKIPPED:
            continue
        rows: list[list[dict[str, Any]]] = []
        for mark in getattr(function, "pytestmark", ()):
            if mark.name == "parametrize":
                names = mark.args[0] if not isinstance(mark.args[0], str) else mark.args[0].split(", ")
                values = mark.args[1]
                rows.append([dict(zip(names, each if len(names) > 1 else [each], strict=True)) for each in values])
        for row in product(*rows):
            arguments = {key: value for each in row for key, value in each.items()}
            patched = "monkeypatch" in function.__code__.co_varnames
            yield partial(with_monkeypatch(function) if patched else function, **arguments)


def with_monkeypatch(test: Callable[..., None]) -> Callable[..., None]:
    @wraps(test)
    def run(**arguments: object) -> None:
        with pytest.MonkeyPatch.context() as monkeypatch:
            test(monkeypatch=monkeypatch, **arguments)

    return run


def profiled(runs: Iterable[Callable[[], None]]) -> list[Check]:
    """Return checks with their times and the functions of the package that they call."""
    found = []
    for run in runs:
        codes: set[CodeType] = set()

        def called(frame: FrameType, event: str, _argument: object, codes: set[CodeType] = codes) -> None:
            if event == "call":
                codes.add(frame.f_code)

        start = time.process_time()
        sys.setprofile(called)
        try:
            run()
        finally:
            sys.setprofile(None)
        found.append(Check(run, time.process_time() - start, frozenset(codes)))
    return found
