"""Check that contenders compute the same function, before they are timed.

In float64, rounding flips no spikes, so outputs and gradients are compared with tight tolerances, on part of the batch.
At full size and in the timed precision, only outputs are compared, with loose tolerances: another order of additions
flips a few spikes in float32, and many in bfloat16. Engines that only compute in float32 are only compared so.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from benchmarks.contenders import Contender, contender
from benchmarks.contenders.model import Model
from benchmarks.job import Job, MismatchError
from benchmarks.results import Agreement
from benchmarks.steps import Batch, batch, outputs
from benchmarks.workload import Workload

EXACT_OUTPUTS = 1e-9
EXACT_GRADIENTS = 1e-6
TIMED_SPIKES = 1e-2
TIMED_LOGITS = {"fp32": 0.5, "bf16": 0.75}
"""Largest accepted relative distances. Those of logits detect gross differences only."""


def run(job: Job) -> dict[str, Agreement]:
    """Compare the contenders of the job, and write the common weights to its file."""
    torch.set_num_threads(job.plan.threads)
    return agree(job.the_workload, [contender(name) for name in job.contenders], job.the_file)


def agree(workload: Workload, contenders: Sequence[Contender], weights: Path) -> dict[str, Agreement]:
    """Compare all contenders with the first, and write its weights to a file.

    Raises:
        MismatchError: If two contenders differ, or the output does not depend on the input.
    """
    data = batch(workload)
    first, *others = contenders
    model = _calibrated(first.build(workload), workload, data)
    values = [value.detach().clone() for value in model.values]
    torch.save(values, weights)
    expected = _observe(model, workload, data)
    # Constant outputs would agree for any network.
    _refuse_constant(expected[2] if expected[0] is None else expected[0])
    del model
    agreement = {}
    for other in others:
        model = other.build(workload)
        model.module.to(workload.device)
        model.load(values)
        agreement[other.name] = compare(other.name, workload, _observe(model, workload, data), expected)
        del model
    return agreement


Observed = tuple[Tensor | None, list[Tensor], Tensor]
"""Outputs and gradients in float64, if available, and outputs in the timed precision."""


def compare(name: str, workload: Workload, observed: Observed, expected: Observed) -> Agreement:
    """Return the relative distances of a contender.

    Raises:
        MismatchError: If a distance exceeds its limit.
    """
    gradients = [_distance(own, reference) for own, reference in zip(observed[1], expected[1], strict=False)]
    result = Agreement(
        exact=None if observed[0] is None or expected[0] is None else _distance(observed[0], expected[0]),
        gradients=max(gradients, default=None),
        timed=_distance(observed[2], expected[2]),
    )
    timed = TIMED_SPIKES if workload.layer else TIMED_LOGITS[workload.precision]
    for what, distance, most in (
        ("outputs in float64", result.exact or 0.0, EXACT_OUTPUTS),
        ("gradients in float64", result.gradients or 0.0, EXACT_GRADIENTS),
        (f"outputs in {workload.precision}", result.timed, timed),
    ):
        if not distance <= most:
            message = f"{name} differs in {what} by {distance:.1e}, expected at most {most:.0e}"
            raise MismatchError(message)
    return result


def _calibrated(model: Model, workload: Workload, data: Batch) -> Model:
    """Set the running statistics of batch norms to those of the batch."""
    model.module.to(workload.device)
    # With them, neurons fire in evaluation too.
    norms = [part for part in model.parts if isinstance(part, _BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        # None computes a cumulative average, which after one batch equals its statistics.
        norm.momentum = None
    with torch.no_grad():
        model.module.train()
        model.forward(data.x)
    model.reset()
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    return model


def _observe(model: Model, workload: Workload, data: Batch) -> Observed:
    module = model.module.train(workload.train)
    if model.prepare is not None:
        model.prepare()
    before = [value.detach().clone() for value in model.values]
    with torch.set_grad_enabled(workload.train):
        timed = outputs(model, workload, data.x).detach().double()
    model.reset()
    if model.prepare is not None:
        return None, [], timed
    # Statistics of a float32 pass differ by the spikes that rounding flips.
    model.load(before)
    part = data.part(workload, torch.float64)
    # The timed output comes first, since the module stays in float64.
    module.double()
    exact, gradients = _gradients(model, workload, part) if workload.train else (_evaluate(model, part), [])
    model.reset()
    return exact, gradients, timed


def _evaluate(model: Model, data: Batch) -> Tensor:
    with torch.inference_mode():
        return model.forward(data.x).clone()


def _gradients(model: Model, workload: Workload, data: Batch) -> tuple[Tensor, list[Tensor]]:
    """Return the output, and the gradients of the input, the weights and the time constants."""
    x = data.x.clone().requires_grad_()
    y = model.forward(x)
    loss = (y * data.y).sum() if workload.layer else functional.cross_entropy(y, data.y)
    sources = [x, *model.weights, *model.time_constants]
    return y.detach(), list(torch.autograd.grad(loss, sources))


def _distance(own: Tensor, reference: Tensor) -> float:
    """Return the Euclidean distance relative to the length of the second tensor."""
    length = float(reference.norm())
    return float((own - reference).norm()) / (length or 1.0)


def _refuse_constant(y: Tensor) -> None:
    samples = y.unbind(0 if y.ndim == 2 else 1)  # noqa: PLR2004 -- logits [N, classes], else spikes [T, N, *]
    if all(torch.equal(samples[0], sample) for sample in samples[1:]):
        message = "the output is equal for all samples, so a comparison is meaningless"
        raise MismatchError(message)
