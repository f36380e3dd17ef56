"""A training step on a GPU, without one: operators, bytes moved, and what is kept, as predicted and as traced.

Tensors on torch's device ``meta`` have shapes and no numbers. Here kernels take it for a GPU: whatever asks for a
device goes the way that it goes there, and the kernels for GPUs are one operator each, as they are there.

``UPDATE_GOLDEN=1 pytest --hypothesis-profile deep tests/passes/memory/test_gpu.py`` writes the budgets of all shipped
networks again.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor
from torch._dynamo.backends.common import aot_autograd
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from typer.testing import CliRunner

import sewdsl
from sewdsl.cli.app import app
from sewdsl.ir.network import Network
from sewdsl.lower import saved_tensors
from sewdsl.passes import optimize_program
from sewdsl.passes.memory import TrainingLoad, peak_memory
from sewdsl.snn.kernels import dispatch
from sewdsl.snn.kernels.packed_bits.packed_tensor import PackedTensor
from sewdsl.snn.limits import MAX_KERNEL_ENTRIES
from tests.effort import representatives
from tests.shipped import SHIPPED, briefly, shipped

GOLDEN = Path(__file__).parents[2] / "golden" / "gpu_steps.json"
SAMPLES = 2
NO_WORK = {
    *("view", "_unsafe_view", "_reshape_alias", "alias", "as_strided", "detach", "expand", "permute", "t", "transpose"),
    *("select", "slice", "split", "squeeze", "unbind", "unsqueeze", "promote_types"),
    *("empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided"),
}
"""Operators that launch nothing on a device."""


class Traced(NamedTuple):
    """A training step.

    Attributes:
        operators: That launch something.
        moved: Bytes that these read and write.
        kept: Bytes that wait for the backward pass, apart from weights and statistics.
    """

    operators: int
    moved: int
    kept: int


class _Operators(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.counts: Counter[str] = Counter()
        self.moved = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        name = str(func).split(".")[1]
        if name not in NO_WORK:
            self.counts[name] += 1
            tensors = [leaf for leaf in tree_leaves((args, kwargs, out)) if isinstance(leaf, Tensor)]
            self.moved += sum(tensor.numel() * tensor.element_size() for tensor in tensors)
        if name == "convolution" and args[1].ndim == 4 and args[1].is_contiguous(memory_format=torch.channels_last):
            out = torch.empty_like(out, memory_format=torch.channels_last)  # as cuDNN has it
        return out


def stored(value: saved_tensors.SavedValue) -> Tensor:
    """Return the format in which a value is stored."""
    if isinstance(value, Tensor):
        return value
    assert isinstance(value, PackedTensor)
    return value._bytes


def trace(network: Network, samples: int) -> Traced:
    """A training step of a network in float32."""
    model = sewdsl.compile(network).to("meta")
    settings = network.settings
    inputs = [
        torch.empty((*(() if encode == "direct" else (settings.steps,)), samples, *shape), device="meta")
        for _, shape, encode, _ in settings.sources
    ]
    own = {tensor.untyped_storage()._cdata for tensor in (*model.parameters(), *model.buffers())}
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in own:
            kept[storage._cdata] = storage  # which keeps its address from being another's
        return tensor

    def small(
        pack: Callable[[Tensor], Tensor | saved_tensors.SavedView], unpack: Callable[[Any], Tensor]
    ) -> torch.autograd.graph.saved_tensors_hooks:
        """Hooks inside ours, which are asked in their place: of a value in bits, its bytes are what waits."""

        def noted(tensor: Tensor) -> Tensor | saved_tensors.SavedView:
            found = pack(tensor)
            keep(found if isinstance(found, Tensor) else stored(found.saved))
            return found

        return torch.autograd.graph.saved_tensors_hooks(noted, unpack)

    with _Operators() as operators, pytest.MonkeyPatch.context() as patch:
        patch.setattr(saved_tensors, "saved_tensors_hooks", small)
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            y = model(*inputs)
        waiting = sum(storage.nbytes() for storage in kept.values())
        y = y if isinstance(y, Tensor) else sum(each.sum() for each in y.values())
        y.backward(torch.empty_like(y))
    return Traced(sum(operators.counts.values()), operators.moved, waiting)


@pytest.fixture(autouse=True)
def _a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(dispatch._KERNELS, "meta", dispatch._KERNELS.get("cuda", dispatch._FORMATS))


BODIES = {
    **{join: f"c4k3-BN-PLIF-{join}[c4k3-BN-PLIF | id]-MPk2s2-DP-FC3" for join in ("ADD", "AND", "IAND", "OR")},
    "equations": "c4k3-ILIF-FC3",
    "time": "c4k3-TEBN-PSN-CA(r=2)-SA(k=3)-FC3",
    "loop": "FC5-LOOP[ LIF | FC5 ]-FC3",
}


@pytest.mark.filterwarnings("ignore:Dynamo detected a call to a `functools.lru_cache`", "ignore:The .grad attribute")
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.deep] * (name in {"ADD", "AND", "OR"})) for name in BODIES]
)
def test_what_is_compiled_of_a_step_asks_nothing_of_the_host(name: str) -> None:
    """The step stays on the device, so that CUDA graphs can record it.

    Forward and backward pass are one graph each, except with neurons as equations: torch's compiler does not trace
    how they are read, and compiles the layers between them.
    """
    seen: list[set[str]] = []

    def look(graph: torch.fx.GraphModule, _inputs: object) -> Callable[[list[Any]], list[Any]]:
        values = [node.meta.get("val") for node in graph.graph.nodes]
        seen.append({leaf.device.type for leaf in tree_leaves(values) if isinstance(leaf, Tensor)})
        nodes: Any = graph.graph.output_node().args[0]
        given = [node and node.meta["val"] for node in nodes]

        def run(inputs: list[Any]) -> list[Any]:
            inputs.clear()
            return [
                torch.empty_strided(each.shape, each.stride(), dtype=each.dtype, device="meta")
                if isinstance(each, Tensor)
                else each
                for each in given
            ]

        run._boxed_call = True  # type: ignore[attr-defined]
        return run

    torch._dynamo.reset()
    model = sewdsl.compile(BODIES[name], input="2x6x6", steps=3).to("meta")
    backend = aot_autograd(fw_compiler=look, bw_compiler=look)
    model.compile(dynamic=False, fullgraph=name != "equations", backend=backend)
    y = model(torch.empty(3, 2, 2, 6, 6, device="meta"))
    y.backward(torch.empty_like(y))
    torch._dynamo.reset()
    assert (len(seen) == len(("forward", "backward"))) == (name != "equations")
    assert all(devices == {"meta"} for devices in seen)


TRACES_ALIKE = tuple(map(int, torch.__version__.split(".")[:2])) >= (2, 13)
"""Whether PyTorch decomposes operators as in the golden traces. Earlier versions run a few operators more."""


@pytest.mark.parametrize("name", representatives(SHIPPED))
def test_a_step_takes_what_it_took_and_keeps_what_is_predicted(name: str) -> None:
    network = briefly(name)
    found = trace(network, SAMPLES)
    known = json.loads(GOLDEN.read_text("utf-8")) if GOLDEN.exists() else {}
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text(json.dumps({**known, name: found._asdict()}, indent=1, sort_keys=True) + "\n", "utf-8")
    elif TRACES_ALIKE:
        assert found._asdict() == known[name]
    else:
        assert found.kept == known[name]["kept"]
    predicted = peak_memory(optimize_program(network), TrainingLoad(SAMPLES, device="cuda"))
    if predicted.sizes.not_predicted:
        assert sum(predicted.kept.values()) < found.kept
    else:
        assert sum(predicted.kept.values()) == pytest.approx(found.kept, rel=0.025)


def test_the_paper_s_network_within_its_budget() -> None:
    """7B-Net, N = 4, float32: what normalises is kept, and little else, as on a CPU."""
    found = trace(shipped("7b-net"), 4)
    assert found.operators <= 215
    assert found.moved <= 7e9
    here = peak_memory(optimize_program(shipped("7b-net")), TrainingLoad(4))
    assert found.kept == pytest.approx(sum(here.kept.values()), rel=0.05)


@pytest.mark.filterwarnings(
    "ignore:Dynamo detected a call to a `functools.lru_cache`:UserWarning"
)  # of a tape: the same
def test_torch_compiles_it_in_one_graph() -> None:
    """torch's compiler traces the choice of a kernel and the kernels."""
    model = sewdsl.compile("c8k3-BN-PLIF-SEW Block (c8)-MPk2-FC5", input="2x8x8", steps=4, neuron="PLIF").to("meta")
    x = torch.empty((4, 3, 2, 8, 8), device="meta")
    called: list[str] = []

    def backend(graph: torch.fx.GraphModule, _inputs: object) -> torch.fx.GraphModule:
        called.extend(str(node.target) for node in graph.graph.nodes)
        return graph

    torch.compile(model, fullgraph=True, backend=backend)(x).sum().backward()
    assert len([name for name in called if "norm_neuron" in name]) == 3


class TestShow:
    def show(self, *arguments: str) -> str:
        done = CliRunner().invoke(app, ["show", *arguments])
        assert done.exit_code == 0, done.output
        return done.output

    def test_it_says_what_a_gpu_keeps(self) -> None:
        here, there = (
            json.loads(self.show("7b-net", "--memory", "--json", "--set", "train.precision=32", "--device", device))
            for device in ("cpu", "cuda")
        )
        assert (here["device"], there["device"]) == ("cpu", "cuda")
        assert there["kept"] == pytest.approx(here["kept"], rel=0.05)
        assert "float32, on a GPU" in self.show("tiny", "--memory", "--device", "cuda")

    def test_what_is_not_known_is_named(self, tmp_path: Path) -> None:
        lines = [f"h{number + 1} = 0.5*h{number} + sin(x + {number}*h{number})" for number in range(120)]
        neuron = "\n".join(
            ["neuron Long {", "h0 = v + x", *lines, "s = fire(h120 - 1)", "v = reset(h120, s)", "give s", "}"]
        )
        text = f"sewdsl 1\n{neuron}\ninput 2x8x8\nsteps 4\nbody c4k3-BN-Long-FC3\n"
        (tmp_path / "long.net").write_text(text, encoding="utf-8")
        said = self.show(str(tmp_path / "long.net"), "--memory", "--device", "cuda")
        assert (
            f"with over {MAX_KERNEL_ENTRIES} operations run in plain PyTorch and save more than predicted: long1"
            in said
        )
        assert "note" not in self.show("klif-resnet-19", "--memory", "--device", "cuda")

    def test_elsewhere_it_is_refused(self) -> None:
        done = CliRunner().invoke(app, ["show", "tiny", "--device", "cuda"])
        assert done.exit_code == 2
        assert "--device requires --memory" in done.output
