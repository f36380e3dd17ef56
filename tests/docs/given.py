"""Files that a page takes for given: small, in their true form."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from tests.docs.fences import fences

MODELS = """\
from spikingjelly.activation_based import neuron
from spikingjelly.activation_based.model import sew_resnet


def iand50():
    return sew_resnet.sew_resnet50(cnf="IAND", spiking_neuron=neuron.IFNode)
"""
"""A module of a user who has SpikingJelly."""


def weights_() -> None:
    """A checkpoint as the paper's authors save them, and weights of torchvision and SpikingJelly."""
    import torch  # noqa: PLC0415 -- only this page needs it
    import torchvision  # noqa: PLC0415 -- as above
    from spikingjelly.activation_based.model import spikformer  # noqa: PLC0415 -- as above

    import sewdsl  # noqa: PLC0415 -- as above
    from sewdsl.exchange import weights  # noqa: PLC0415 -- as above

    network = sewdsl.load("sew-resnet-18")
    ours = sewdsl.compile(network).state_dict()
    model, _ = weights.convert(ours, network, weights.SCHEMES["sewdsl"], weights.SCHEMES["authors"])
    about = {"optimizer": {}, "lr_scheduler": {}, "epoch": 319, "args": argparse.Namespace(T=4)}
    scores = {"max_test_acc1": 63.18, "test_acc5_at_max_test_acc1": 84.53}
    torch.save({"model": model, **about, **scores}, "checkpoint_319.pth")
    torch.save(torchvision.models.resnet18().state_dict(), "resnet18.pth")
    torch.save(spikformer.spikformer_ti().state_dict(), "spikformer.pth")


def models() -> None:
    """A model of SpikingJelly."""
    Path("models.py").write_text(MODELS, encoding="utf-8")


def circle() -> None:
    """A recurrent graph of NIR."""
    import nir  # noqa: PLC0415 -- only this page needs it
    import numpy as np  # noqa: PLC0415 -- as above

    one = np.ones(2)
    nodes = {
        "input": nir.Input({"input": np.array([2])}),
        "n": nir.IF(r=one, v_threshold=one),
        "r": nir.Linear(weight=np.eye(2)),
        "output": nir.Output({"output": np.array([2])}),
    }
    edges = [("input", "n"), ("n", "r"), ("r", "n"), ("n", "output")]
    nir.write("loop.nir", nir.NIRGraph(nodes=nodes, edges=edges))


def own_code() -> None:
    """The files of Python that the page shows."""
    for fence in fences(Path(__file__).parents[2] / "docs" / "own-code.md"):
        if fence.kind == "python" and fence.title:
            Path(fence.title).write_text(fence.text, encoding="utf-8")


def first() -> None:
    """The folder of a run, as far as another run takes weights from it."""
    import sewdsl  # noqa: PLC0415 -- only this page needs it
    from sewdsl.exchange.weights import encode  # noqa: PLC0415 -- as above

    weights = Path("first/checkpoints/last.safetensors")
    weights.parent.mkdir(parents=True)
    weights.write_bytes(encode(sewdsl.compile("mnist5k").state_dict(), ".safetensors"))
    for name in ("spec.net", "recipe.json"):
        Path("first", name).touch()


def from_paper() -> None:
    """A checkpoint with the keys of the authors' code, and a program that the page shows."""
    import torch  # noqa: PLC0415 -- only this page needs it

    import sewdsl  # noqa: PLC0415 -- as above

    for fence in fences(Path(__file__).parents[2] / "docs" / "from-paper.md"):
        if fence.title in {"statten.net", "compare.py"}:
            Path(fence.title).write_text(fence.text, encoding="utf-8")
    stem = [f"patch_embed.proj_{kind}{stage}" for stage in ("", 1, 2, 3) for kind in ("conv", "bn")]
    block = [f"attn.{layer}_{kind}" for layer in ("q", "k", "v", "proj") for kind in ("conv", "bn")]
    block += [f"mlp.{layer}_{kind}" for layer in ("fc1", "fc2") for kind in ("conv", "bn")]
    blocks = [f"block.{number}.{layer}" for number in (0, 1) for layer in block]
    layers = iter([*stem, "patch_embed.rpe_conv", "patch_embed.rpe_bn", *blocks, "head"])
    state: dict[str, torch.Tensor] = {}
    last = layer = ""
    for key, tensor in sewdsl.compile("statten.net", seed=0).state_dict().items():
        own, _, name = key.rpartition(".")
        layer = layer if own == last else next(layers)
        last = own
        if layer.endswith("attn.proj_conv") and name == "weight":
            state[layer.replace("proj_conv", "talking_heads.weight")] = torch.zeros(8, 8, 1)
        # Small variances, with which neurons fire.
        state[f"{layer}.{name}"] = torch.full_like(tensor, 0.01) if name == "running_var" else tensor
    torch.save({"state_dict": state, "epoch": 209, "args": argparse.Namespace(time_steps=4)}, "model_best.pth.tar")


GIVEN: dict[str, Callable[[], None]] = {
    "from-paper.md": from_paper,
    "nir.md": circle,
    "own-code.md": own_code,
    "source.md": models,
    "transfer.md": first,
    "weights.md": weights_,
}
"""By the page that takes them for given."""
