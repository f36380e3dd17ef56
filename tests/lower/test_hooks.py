"""Hooks, replaced layers and forwards, parametrizations and pruning, with equal effects at every level."""

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
from tests.effort import factor
from tests.words import raises

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
    """Return the module that every test copies."""
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
    """Return the values that hooks receive, by layer and kind, and the gradients of all weights."""
    model, found = build(level), Seen()
    for layer, kind in places:
        HOOKS[kind](model.get_submodule(layer), found.setdefault((layer, kind), []))
    model(frames().requires_grad_()).square().sum().backward()
    assert all(found.values())
    return found, [weight.grad for weight in model.parameters()]


@cache
def plain() -> tuple[Seen, list[Tensor | None]]:
    """Return the module at level 0, which fuses no layers."""
    return hooked(0, *product(LAYERS, HOOKS))


PLACES = [*product(LAYERS, HOOKS)]


@pytest.mark.parametrize(("layer", "kind"), PLACES if factor() > 1 else PLACES[::3])
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


@pytest.mark.parametrize(
    "layer", ["plif1", "sew_block1.branch.plif2", "sew_block1.add1", "repeat1.2.spiking_block1.plif1"]
)
@pytest.mark.parametrize("replaced", [False, True])
def test_gradients_are_those_of_what_a_layer_gives(layer: str, replaced: bool) -> None:  # noqa: FBT001 -- a parameter
    """Though spikes, and sums of them, would be kept in a few bits, and convolved by events."""
    gradients = []
    for level in LEVELS:
        model = build(level)
        if replaced:
            model.set_submodule(layer, Half())
        else:
            model.get_submodule(layer).register_forward_hook(half)
        model(frames()).square().sum().backward()
        gradients.append({name: weight.grad for name, weight in model.named_parameters()})
    close(gradients[1], gradients[0])
    close(gradients[2], gradients[0])


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
REFUSED = ("register_full_backward_hook", "register_full_backward_pre_hook", "register_backward_hook")


@pytest.mark.parametrize("path", GROUPS)
@pytest.mark.parametrize("level", LEVELS)
def test_hooks_on_a_group_see_what_it_reads_and_gives(path: str, level: int) -> None:
    model, order, seen = build(level), list[str](), dict[str, Tensor]()
    first, last = GROUPS[path]

    def before(group: nn.Module, read: tuple[Tensor, ...]) -> None:
        assert group is model.get_submodule(path)
        order.append("before")
        seen["read"] = read[0]

    def after(group: nn.Module, read: tuple[Tensor, ...], given: Tensor) -> None:
        assert group is model.get_submodule(path)
        assert [x is y for x, y in zip(read, [seen["read"]], strict=True)] == [True]
        order.append("after")
        seen["given"] = given

    handles = [
        model.get_submodule(path).register_forward_hook(after),
        model.get_submodule(path).register_forward_pre_hook(before),
        model.get_submodule(first).register_forward_hook(lambda _, x, __: seen.update(first=x[0])),
        model.get_submodule(last).register_forward_hook(lambda _, __, y: seen.update(last=y)),
    ]
    model(frames()).square().sum().backward()
    assert order == ["before", "after"]
    assert seen["read"] is seen["first"]
    assert seen["given"] is seen["last"]
    for handle in handles[2:]:
        handle.remove()
    close([weight.grad for weight in model.parameters()], plain()[1])
    model(frames())
    assert order == ["before", "after"] * 2
    handles[0].remove()
    model(frames())
    assert order == ["before", "after"] * 2 + ["before"]


@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("path", GROUPS)
def test_hooks_may_change_what_a_group_gives(path: str, train: bool) -> None:  # noqa: FBT001 -- a parameter
    """A hook of a group can change its output, like a hook of its last layer."""
    expected = build(0, train=train)
    expected.get_submodule(GROUPS[path][1]).register_forward_hook(half)
    expected(frames()).square().sum().backward()
    for level in LEVELS:
        model = build(level, train=train)
        model.get_submodule(path).register_forward_hook(half)
        model(frames()).square().sum().backward()
        close([weight.grad for weight in model.parameters()], [weight.grad for weight in expected.parameters()])


def test_inner_groups_are_called_first_and_with_names_where_asked() -> None:
    model, seen = build(1), list[str]()

    def hook(path: str, _: nn.Module, __: object, names: dict[str, object], y: Tensor) -> Tensor:
        seen.append(path)
        assert not names
        return y + 1

    for path in ("repeat1", "repeat1.2.spiking_block1", "repeat1.2"):
        model.get_submodule(path).register_forward_hook(partial(hook, path), with_kwargs=True)
    assert not torch.equal(model(frames()), build(1)(frames()))
    assert seen == ["repeat1.2.spiking_block1", "repeat1.2", "repeat1"]


def test_a_hook_cannot_change_what_a_group_reads() -> None:
    model = build(1)
    model.get_submodule("sew_block1").register_forward_pre_hook(lambda _, x: (0.5 * x[0],))
    with raises(TypeError):
        model(frames())


@pytest.mark.parametrize("path", GROUPS)
@pytest.mark.parametrize("method", REFUSED)
def test_a_backward_hook_on_a_group_is_refused(path: str, method: str) -> None:
    """The hook would never be called. The message names the layer with the output of the group."""
    group = build(1).get_submodule(path)
    with pytest.raises(TypeError) as caught:
        getattr(group, method)(lambda *_: None)
    assert str(caught.value) == (
        f"{path} is a group of layers, on which backward hooks are never called; hook its last layer: "
        f"model.get_submodule('{GROUPS[path][1]}')"
    )


def test_a_stream_calls_the_hooks_of_a_group_at_each_step() -> None:
    model, seen = build(1, train=False), list[Tensor]()
    model.get_submodule("sew_block1").register_forward_hook(lambda _, __, y: seen.append(y))
    stream, state = model.stream(), None
    for x_N in frames():
        _, state = stream(x_N, state)
    assert len(seen) == len(frames())
    close(torch.cat(seen), model.at("sew_block1")(frames()))


def test_groups_keep_the_hooks_that_are_called() -> None:
    model, seen = build(1), list[str]()
    block: Any = model.get_submodule("sew_block1")
    block.register_state_dict_post_hook(lambda *_: seen.append("saved"))
    block.register_load_state_dict_post_hook(lambda *_: seen.append("loaded"))
    model.load_state_dict(model.state_dict())
    assert seen == ["saved", "loaded"]


def test_a_group_that_is_called_says_what_it_is() -> None:
    with raises(TypeError):
        build(1).get_submodule("sew_block1")(frames())


PUT: dict[str, Callable[[SpikingNetwork, nn.Module | None], object]] = {
    "by its name": lambda model, new: setattr(model, "sew_block1", new),
    "by its path": lambda model, new: model.set_submodule("sew_block1", new),  # type: ignore[arg-type]
    "by add_module": lambda model, new: model.add_module("sew_block1", new),
    "by register_module": lambda model, new: model.register_module("sew_block1", new),
}


@pytest.mark.parametrize("how", PUT)
def test_a_group_is_not_replaced_by_what_cannot_run(how: str) -> None:
    model = build(1)
    for new in (None, model.get_submodule("repeat1")):
        if new is not None or how != "by its path":
            with pytest.raises(TypeError, match=r"cannot replace the group sew_block1; expected a module"):
                PUT[how](model, new)
    with raises(TypeError):
        del model.sew_block1
    model(frames())


class Scaled(nn.Module):
    """A block of one's own, with a weight."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(0.5, dtype=torch.float64))
        self.seen: list[tuple[int, ...]] = []

    def forward(self, x_TN: Tensor) -> Tensor:
        self.seen.append(tuple(x_TN.shape))
        return self.weight * x_TN


@pytest.mark.parametrize("how", PUT)
def test_a_module_in_the_place_of_a_group_runs(how: str) -> None:
    """At all levels the same as a network without the block, with a layer that does what the module does."""
    body = BODY.replace("SEW Block (c6)", "SCALE(value=0.5)")
    found = []
    for level in LEVELS:
        model, mine = build(level), Scaled()
        PUT[how](model, mine)
        other = build(level, body=body)
        weights = {key: value for key, value in model.state_dict().items() if not key.startswith("sew_block1")}
        other.load_state_dict(weights)
        outputs = [one(frames()) for one in (model, other)]
        close(*outputs)
        assert mine.seen == [(3, 4, 6, 8, 8)]
        outputs[0].square().sum().backward()
        assert mine.weight.grad is not None
        found.append(mine.weight.grad)
        again = copy.deepcopy(model)
        close(again(frames()), outputs[0])
    close(found[1], found[0])
    close(found[2], found[0])


@pytest.mark.parametrize("path", ["sew_block1.branch", "repeat1.1", "repeat1.1.spiking_block1.shortcut"])
@pytest.mark.parametrize("static", [False, True])
def test_any_group_can_be_replaced(path: str, static: bool) -> None:  # noqa: FBT001 -- a parameter
    class Own(nn.Module):
        def __init__(self, like: Tensor) -> None:
            super().__init__()
            self.shape = like.shape[2:]

        def forward(self, x_TN: Tensor) -> Tensor:
            channels = x_TN.new_ones(self.shape[0], x_TN.shape[2])
            wide = torch.einsum("tnchw,dc->tndhw", x_TN, channels)
            return wide[..., :: wide.shape[-1] // self.shape[-1], :: wide.shape[-1] // self.shape[-1]]

    outputs = []
    for level in LEVELS:
        model = build(level, train=False, encode="direct" if static else "none")
        x = frames()[0] if static else frames()
        model.set_submodule(path, Own(model.at(path)(x)))
        outputs.append(model(x))
        with pytest.raises(ValueError, match=r"no longer exists: its part was replaced by another module"):
            model.at(GROUPS.get(path, (f"{path}.spiking_block1.branch.conv1",))[0])(x)
    close(outputs[1], outputs[0])
    close(outputs[2], outputs[0])


def test_what_was_in_a_group_is_gone() -> None:
    model = build(1)
    model.set_submodule("repeat1.2", nn.Identity())
    said = r"^repeat1.2.spiking_block1.plif1 no longer exists: repeat1.2 was replaced by another module$"
    with pytest.raises(AttributeError, match=said):
        model.get_submodule("repeat1.2.spiking_block1.plif1")
    with pytest.raises(AttributeError, match="has no attribute"):
        model.get_submodule("sew_block1.branch.conv9")


def test_a_stream_needs_the_state_of_a_group() -> None:
    model = build(1, train=False)
    stream = model.stream()
    model.set_submodule("repeat1.1.spiking_block1.shortcut", nn.Conv2d(6, 8, 1))
    stream_of = model.stream
    model.set_submodule("sew_block1", Scaled())
    for one in (stream, stream_of()):
        with pytest.raises(TypeError, match="the module that replaces sew_block1 does not return a state"):
            one(frames()[0])


class TestValues:
    @pytest.mark.parametrize("static", [False, True])
    @pytest.mark.parametrize("level", LEVELS)
    def test_they_are_those_that_hooks_see(self, level: int, static: bool) -> None:  # noqa: FBT001 -- a parameter
        model = build(level, train=False, encode="direct" if static else "none")
        x = frames()[0] if static else frames()
        places = [*(node.name for node in model.network.nodes[1:]), *GROUPS]
        seen: dict[str, Tensor] = {}
        handles = [
            model.get_submodule(path).register_forward_hook(
                partial(lambda path, _, __, y: seen.update({path: y}), path)
            )
            for path in places
        ]
        model(x)
        for handle in handles:
            handle.remove()
        for path in places:
            found = model.at(path)(x)
            assert found.shape[0] == 3
            close(found, seen[path].expand_as(found))
        several = model.at(*places)(x)
        assert [*several] == places
        close(several["fc1"].mean(0), model(x))

    def test_nothing_after_them_is_computed(self) -> None:
        model, called = build(1), list[str]()
        for node in model.network.nodes[1:]:
            module = model.get_submodule(node.name)
            module.register_forward_hook(partial(lambda name, *_: called.append(name), node.name))
        model.at("bn1")(frames())
        assert called == ["conv1", "bn1"]

    @pytest.mark.parametrize("level", LEVELS)
    def test_a_head_learns_on_them(self, level: int) -> None:
        model = build(level)
        features = model.at("sew_block1")
        head = nn.Linear(6, 2).double()
        head(features(frames()).mean((0, 3, 4))).sum().backward()
        expected = build(0)
        expected.get_submodule("sew_block1").register_forward_hook(
            lambda _, __, y: head(y.mean((0, 3, 4))).sum().backward()
        )
        expected(frames())
        grads = [[weight.grad for weight in one.parameters()] for one in (model, expected)]
        assert any(grad is not None for grad in grads[0])
        close(*grads)
        assert {*features.parameters()} == {*model.parameters()}

    def test_in_a_loop(self) -> None:
        model = sewdsl.compile("FC8-LOOP[LIF-BN | FC8-BN]-FC3", input=(5,), steps=4, seed=0).eval()
        x = torch.rand(4, 2, 5)
        looped = [model.network.nodes[index].name for index in sorted(model.network.graph.looped)]
        for path in ("fc1", "fc2", *looped):
            seen: list[Tensor] = []
            handle = model.get_submodule(path).register_forward_hook(lambda _, __, y, seen=seen: seen.append(y))
            found = model.at(path)(x)
            handle.remove()
            assert len(found) == 4
            assert seen or "delay" in path  # what a delay gives is not computed by its module
            close(found, torch.cat(seen) if seen else found)
        with raises(ValueError):
            model.at("feedback")

    def test_what_is_not_there_is_said(self) -> None:
        model = build(1)
        with raises(ValueError):
            model.at("sew_block3")
        with pytest.raises(ValueError, match=r"at\(\) requires a path, e.g. model.at\('sew_block1'\)"):
            model.at()


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
    """Fused layers can be replaced too."""
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
    with raises(TypeError):
        model.stream()(frames()[0])
    model = build(1, train=False)
    model.get_submodule("plif1").forward = lambda x_TN, **_: x_TN
    with raises(TypeError, "2"):
        model.stream()(frames()[0])


class More(nn.Module):
    """A parametrization."""

    def forward(self, weight: Tensor) -> Tensor:
        return weight + 0.5


def pruned(name: str, weight: str, model: SpikingNetwork) -> None:
    """Set every second number to 0."""
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
    other.sew_block1 = nn.Identity()
    assert not torch.equal(other(frames()), model(frames()))


def half(_: nn.Module, __: object, y: Tensor) -> Tensor:
    """A hook."""
    return 0.5 * y


@pytest.fixture
def _fresh_compiler() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@pytest.mark.usefixtures("_fresh_compiler")
@pytest.mark.parametrize(
    "layer", [*(pytest.param(n, marks=pytest.mark.deep) for n in ("bn1", "plif1")), "sew_block1.add1"]
)
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
    """A custom layer can return another value at the second call."""

    class Noisy(nn.Module):
        calls = 0

        def forward(self, x_TN: Tensor) -> Tensor:
            self.calls += 1
            return x_TN + torch.rand_like(x_TN)

    program = optimize_program(build(1).network)
    model = lower(replace(program, recomputed=frozenset(step.gives for step in program.steps)), seed=0).double()
    model.relu1 = Noisy()
    model(frames()).square().sum().backward()
    assert model.relu1.calls == 1
