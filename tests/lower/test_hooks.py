"""What others put on a network: hooks, other layers and forwards, parametrizations, pruning; at every level alike."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache, partial
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules import module as torch_module
from torch.nn.utils import parametrizations, parametrize, prune, weight_norm

import sewdsl
from sewdsl.lower import SpikingNetwork, lower
from sewdsl.passes import optimize_program, plan

BODY = "c6k3-BN-PLIF-SEW Block (c6)-MPk2s2-{Spiking Block (c8s2)}*2-c4k3-BN-ReLU-FC5"
LAYERS = (
    "bn1",
    "plif1",
    "sew_block1.branch.bn2",
    "sew_block1.branch.plif2",
    "sew_block1.add1",
    "repeat1.1.spiking_block1.shortcut.bn1",
    "repeat1.2.spiking_block1.plif1",
    "conv2",
    "bn2",
    "relu1",
    "fc1",
)
LEVELS = (0, 1, 2)


@pytest.fixture(autouse=True)
def _everything_is_fused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "LARGE_VALUE_ELEMENTS", 1)


def build(level: int, *, train: bool = True, body: str = BODY, encode: str = "none") -> SpikingNetwork:
    return copy.deepcopy(_built(level, body, encode)).train(train)


@cache
def _built(level: int, body: str, encode: str) -> SpikingNetwork:
    """What every test takes a copy of."""
    settings = {"neuron": "PLIF(tau=3.0, v_threshold=0.3)", "encode": encode}
    model = sewdsl.compile(body, input="2x8x8", steps=3, seed=0, optimize=level, set=settings)
    random = torch.Generator().manual_seed(2)
    for name, weight in model.named_parameters():
        if ".bn" in f".{name}" and name.endswith("bias"):
            nn.init.uniform_(weight, 0.0, 0.6, generator=random)  # that something gets through in evaluation too
    return model.double()


def frames() -> Tensor:
    return (torch.rand(3, 4, 2, 8, 8, generator=torch.Generator().manual_seed(1)) < 0.3).double()


def close(first: Any, second: Any) -> None:
    torch.testing.assert_close(first, second, rtol=1e-8, atol=1e-10)


Register = Callable[[nn.Module, list[Tensor]], object]
HOOKS: dict[str, Register] = {
    "forward": lambda layer, seen: layer.register_forward_hook(lambda _, __, y: seen.append(y)),
    "forward pre": lambda layer, seen: layer.register_forward_pre_hook(lambda _, x: seen.append(x[0])),
    "full backward": lambda layer, seen: layer.register_full_backward_hook(
        lambda _, given, came: seen.extend(g for g in (*given, *came) if g is not None)
    ),
    "full backward pre": lambda layer, seen: layer.register_full_backward_pre_hook(lambda _, came: seen.extend(came)),
}


Seen = dict[tuple[str, str], list[Tensor]]


def hooked(level: int, *places: tuple[str, str]) -> tuple[Seen, list[Tensor | None]]:
    """What hooks see, by layer and kind, and the gradients of all weights."""
    model, found = build(level), Seen()
    for layer, kind in places:
        HOOKS[kind](model.get_submodule(layer), found.setdefault((layer, kind), []))
    model(frames().requires_grad_()).square().sum().backward()
    assert all(found.values())
    return found, [weight.grad for weight in model.parameters()]


@cache
def plain() -> tuple[Seen, list[Tensor | None]]:
    """At level 0, where no layer is computed together with another one, whatever the hooks."""
    return hooked(0, *product(LAYERS, HOOKS))


@pytest.mark.parametrize("kind", HOOKS)
@pytest.mark.parametrize("layer", LAYERS)
def test_hooks_see_the_same_at_every_level(layer: str, kind: str) -> None:
    """Whatever the layer is computed together with."""
    place = layer, kind
    seen, gradients = plain()
    for level in LEVELS[1:]:
        close(hooked(level, place), ({place: seen[place]}, gradients))


@pytest.mark.parametrize("layer", LAYERS)
def test_hooks_may_change_what_a_layer_gives(layer: str) -> None:
    outputs = []
    for level in LEVELS:
        model = build(level, train=False)
        model.get_submodule(layer).register_forward_hook(lambda _, __, y: 0.5 * y)
        outputs.append(model(frames()))
    close(outputs[1], outputs[0])
    close(outputs[2], outputs[0])
    assert not torch.equal(outputs[0], build(0, train=False)(frames()))


GLOBAL: dict[str, Callable[..., Any]] = {
    "forward": torch_module.register_module_forward_hook,
    "forward pre": torch_module.register_module_forward_pre_hook,
    "backward": torch_module.register_module_full_backward_hook,
}


@pytest.mark.parametrize("kind", GLOBAL)
@pytest.mark.parametrize("level", LEVELS)
def test_hooks_on_all_modules_see_every_layer(level: int, kind: str) -> None:
    model, seen = build(level), set[nn.Module]()
    handle = GLOBAL[kind](lambda layer, *_: seen.add(layer))
    try:
        model(frames().requires_grad_()).sum().backward()
    finally:
        handle.remove()
    assert {model.get_submodule(node.name) for node in model.network.nodes[1:]} <= seen


@pytest.mark.parametrize("layer", ["plif1", "bn1", "sew_block1.add1", "fc1"])
def test_a_stream_calls_them_at_each_step(layer: str) -> None:
    model, seen = build(1, train=False), list[Tensor]()
    model.get_submodule(layer).register_forward_hook(lambda _, __, y: seen.append(y))
    stream, state = model.stream(), None
    for x_N in frames():
        _, state = stream(x_N, state)
    steps = torch.cat(seen)
    seen.clear()
    model(frames())
    close(steps, seen[0])


GROUPS = {
    "sew_block1": ("sew_block1.branch.conv1", "sew_block1.add1"),
    "sew_block1.branch": ("sew_block1.branch.conv1", "sew_block1.branch.plif2"),
    "repeat1": ("repeat1.1.spiking_block1.branch.conv1", "repeat1.2.spiking_block1.plif1"),
    "repeat1.1.spiking_block1.shortcut": (
        "repeat1.1.spiking_block1.shortcut.conv1",
        "repeat1.1.spiking_block1.shortcut.bn1",
    ),
}
REFUSED = {
    "register_forward_pre_hook": 0,
    "register_forward_hook": 1,
    "register_full_backward_hook": 1,
    "register_full_backward_pre_hook": 1,
    "register_backward_hook": 1,
}


@pytest.mark.parametrize("path", GROUPS)
@pytest.mark.parametrize("method", REFUSED)
def test_a_hook_on_a_group_is_refused(path: str, method: str) -> None:
    """It would never be called. What the message names reads, or gives, what the group does."""
    group = build(1).get_submodule(path)
    with pytest.raises(TypeError) as caught:
        getattr(group, method)(lambda *_: None)
    end = REFUSED[method]
    which = "last layer, which gives what it gives" if end else "first layer, which reads what it reads"
    assert str(caught.value) == (
        f"{path} is a group of layers that is never called itself, so that its hooks would never be called; hook its "
        f"{which}: model.get_submodule('{GROUPS[path][end]}')"
    )


def test_groups_keep_the_hooks_that_are_called() -> None:
    model, seen = build(1), list[str]()
    block: Any = model.get_submodule("sew_block1")
    block.register_state_dict_post_hook(lambda *_: seen.append("saved"))
    block.register_load_state_dict_post_hook(lambda *_: seen.append("loaded"))
    model.load_state_dict(model.state_dict())
    assert seen == ["saved", "loaded"]


def test_a_group_that_is_called_says_what_it_is() -> None:
    with pytest.raises(
        TypeError, match="sew_block1 is a group of layers that computes nothing itself; call the network"
    ):
        build(1).get_submodule("sew_block1")(frames())


PUT: dict[str, Callable[[SpikingNetwork], object]] = {
    "by its name": lambda model: setattr(model, "sew_block1", nn.Identity()),
    "by its path": lambda model: model.set_submodule("sew_block1.branch", nn.Identity()),
    "by add_module": lambda model: model.add_module("sew_block1", nn.Identity()),
    "by register_module": lambda model: model.register_module("sew_block1", nn.Identity()),
    "by nothing": lambda model: setattr(model, "sew_block1", None),
    "by deleting it": lambda model: delattr(model, "sew_block1"),
    "by another block": lambda model: setattr(model, "sew_block1", model.get_submodule("repeat1")),
}


@pytest.mark.parametrize("how", PUT)
def test_a_group_cannot_be_replaced(how: str) -> None:
    model = build(1)
    with pytest.raises(
        TypeError, match=r"sew_block1(\.branch)? is a group .*nothing can take its place; replace layers"
    ):
        PUT[how](model)
    model(frames())


def test_but_by_one_with_the_same_layers() -> None:
    model, other = build(1, train=False), sewdsl.compile(BODY, input="2x8x8", steps=3, neuron="PLIF", seed=9).double()
    model.sew_block1 = other.sew_block1
    assert model.get_submodule("sew_block1.branch.conv1") is other.get_submodule("sew_block1.branch.conv1")
    model(frames())


class Half(nn.Module):
    """Reads one or two values, whatever stood in its place."""

    def forward(self, *x: Tensor) -> Tensor:
        return 0.5 * x[0] if len(x) == 1 else x[0] - 0.5 * x[1]


@pytest.mark.parametrize("static", [False, True])
@pytest.mark.parametrize(
    "layer", ["bn1", "plif1", *(f"sew_block1.{n}" for n in ("branch.bn2", "branch.plif2", "add1")), "bn2"]
)
def test_any_layer_can_be_replaced(layer: str, static: bool) -> None:  # noqa: FBT001 -- a parameter
    """Those that are computed together with others too."""
    outputs = []
    for level in LEVELS:
        model = build(level, train=False, encode="direct" if static else "none")
        model.set_submodule(layer, Half())
        outputs.append(model(frames()[0] if static else frames()))
    close(outputs[1], outputs[0])
    close(outputs[2], outputs[0])
    assert not torch.equal(outputs[0], build(0, train=False)(frames()))


@pytest.mark.parametrize("layer", ["conv2", "bn1", "bn2", "plif1", "sew_block1.branch.bn2", "sew_block1.add1"])
def test_a_forward_of_one_module_is_called(layer: str) -> None:
    """Libraries put their own in the place of a module's."""
    for level in LEVELS:
        model, called = build(level, train=False), list[str]()
        module = model.get_submodule(layer)

        def noted(*x: Tensor, called: list[str] = called, forward: Callable[..., Tensor] = module.forward) -> Tensor:
            called.append("")
            return forward(*x)

        module.forward = noted
        close(model(frames()), build(level, train=False)(frames()))
        assert called == [""]


def test_a_layer_of_a_class_of_ones_own_is_called() -> None:
    class Louder(type(build(0).bn1)):  # type: ignore[misc]
        def forward(self, x_TN: Tensor, repeats: int = 1) -> Tensor:
            y_TN: Tensor = 2 * super().forward(x_TN, repeats)
            return y_TN

    outputs = []
    for level in LEVELS:
        model = build(level, train=False)
        for name in ("bn1", "bn2"):
            louder = Louder(len(model.get_submodule(name).get_parameter("weight"))).double()
            louder.load_state_dict(model.get_submodule(name).state_dict())
            model.set_submodule(name, louder.eval())
        outputs.append(model(frames()))
    close(outputs[1], outputs[0])
    close(outputs[2], outputs[0])


def test_a_stream_refuses_neurons_that_are_not_ours() -> None:
    model = build(1, train=False)
    model.plif1 = Half()
    with pytest.raises(TypeError, match="plif1 is Half, not one of our neurons"):
        model.stream()(frames()[0])
    model = build(1, train=False)
    model.get_submodule("plif1").forward = lambda x_TN, **_: x_TN
    with pytest.raises(TypeError, match="plif1 has a forward of its own, which leaves no potential"):
        model.stream()(frames()[0])


class More(nn.Module):
    """A parametrization."""

    def forward(self, weight: Tensor) -> Tensor:
        return weight + 0.5


def pruned(name: str, weight: str, model: SpikingNetwork) -> None:
    """Leaves out every second number."""
    shape = model.get_submodule(name).get_parameter(weight).shape
    mask = torch.arange(shape.numel()).remainder(2).reshape(shape)
    prune.custom_from_mask(model.get_submodule(name), weight, mask)  # type: ignore[no-untyped-call]


MADE: dict[str, Callable[[SpikingNetwork], object]] = {
    **{
        f"parametrized {name}.{weight}": lambda model, name=name, weight=weight: parametrize.register_parametrization(  # type: ignore[misc]
            model.get_submodule(name), weight, More()
        )
        for name, weight in (
            ("conv1", "weight"),
            ("conv2", "weight"),
            ("bn1", "bias"),
            ("bn2", "weight"),
            ("plif1", "w"),
            ("sew_block1.branch.plif2", "w"),
            ("fc1", "weight"),
        )
    },
    "weight_norm of before": lambda model: weight_norm(model.get_submodule("conv2")),
    "weight_norm": lambda model: parametrizations.weight_norm(model.get_submodule("conv2")),
    "spectral_norm": lambda model: parametrizations.spectral_norm(model.get_submodule("conv1")),
    **{
        f"pruned {name}.{weight}": partial(pruned, name, weight)
        for name, weight in (
            ("conv1", "weight"),
            ("bn1", "weight"),
            ("bn2", "weight"),
            ("plif1", "w"),
            ("fc1", "weight"),
        )
    },
}


@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("how", MADE)
def test_weights_that_are_made_of_others(how: str, train: bool) -> None:  # noqa: FBT001 -- a parameter
    found = []
    for level in LEVELS:
        torch.manual_seed(0)
        model = build(level, train=train)
        MADE[how](model)
        logits = model(frames())
        logits.square().sum().backward()
        found.append((logits, {name: weight.grad for name, weight in model.named_parameters()}))
    close(found[1], found[0])
    close(found[2], found[0])
    if "spectral" not in how and "weight_norm" not in how:
        assert not torch.equal(found[0][0], build(0, train=train)(frames()))


@pytest.mark.parametrize("made", [False, True])
def test_a_weight_is_not_taken_for_a_copy_of_what_is_packed(monkeypatch: pytest.MonkeyPatch, made: bool) -> None:  # noqa: FBT001
    """Under autocast a layer keeps copies of both in another dtype; here both have 72 numbers."""
    gradients = []
    for large in (1, 1 << 20):
        monkeypatch.setattr(plan, "LARGE_VALUE_ELEMENTS", large)
        model = sewdsl.compile("IF-c4k3-FC2", input="2x3x3", steps=2, seed=0)
        if made:
            parametrize.register_parametrization(model.get_submodule("conv1"), "weight", More())
        x = torch.linspace(0, 2, 72).reshape(2, 2, 2, 3, 3).requires_grad_()
        with torch.autocast("cpu", torch.bfloat16):
            logits = model(x)
        logits.float().square().sum().backward()
        assert x.grad is not None
        gradients.append(x.grad)
    torch.testing.assert_close(*gradients, rtol=0.05, atol=0.02)


@pytest.mark.parametrize("again", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])  # noqa: S301 -- its own bytes
def test_copies_keep_hooks_and_groups(again: Callable[[SpikingNetwork], SpikingNetwork]) -> None:
    model = build(1, train=False)
    model.get_submodule("bn1").register_forward_hook(half)
    other = again(model)
    assert torch.equal(other(frames()), model(frames()))
    assert not torch.equal(other(frames()), build(1, train=False)(frames()))
    with pytest.raises(TypeError, match="sew_block1 is a group"):
        other.sew_block1 = nn.Identity()


def half(_: nn.Module, __: object, y: Tensor) -> Tensor:
    """A hook."""
    return 0.5 * y


@pytest.fixture
def _fresh_compiler() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@pytest.mark.usefixtures("_fresh_compiler")
@pytest.mark.parametrize("layer", ["bn1", "plif1", "sew_block1.add1"])
def test_compiled_by_torch(layer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "LARGE_VALUE_ELEMENTS", 1 << 20)
    model = build(1, train=False, body="c4k3-BN-PLIF-SEW Block (c4)-FC5")
    model.get_submodule(layer).register_forward_hook(half)
    compiled = torch.compile(model, backend="eager")
    close(compiled(frames()), model(frames()))


def test_parameters_for_one_call() -> None:
    outputs = []
    for level in LEVELS:
        model = build(level, train=False)
        weights = {name: 1.1 * weight for name, weight in model.named_parameters()}
        outputs.append(torch.func.functional_call(model, weights, (frames(),)))
    close(outputs[1], outputs[0])
    close(outputs[2], outputs[0])


def test_a_layer_that_is_not_ours_is_not_computed_again() -> None:
    """It may give something else the second time."""

    class Noisy(nn.Module):
        calls = 0

        def forward(self, x_TN: Tensor) -> Tensor:
            self.calls += 1
            return x_TN + torch.rand_like(x_TN)

    program = optimize_program(build(1).network)
    model = lower(replace(program, again=frozenset(step.gives for step in program.steps)), seed=0).double()
    model.relu1 = Noisy()
    model(frames()).square().sum().backward()
    assert model.relu1.calls == 1
