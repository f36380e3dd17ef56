"""The page of the zoo: networks of the field as text, next to what papers print and what a peer needs for them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from docs.site.read_shipped import read_shipped
from sewdsl.checks.expectation import agrees_with_figure, compute_quantity, is_measured, measured_claims
from sewdsl.compiler import shipped_networks, trained_networks
from sewdsl.syntax.tree import Allow, BlockDefinition, Body, Let, Section, Setting

PAGE = """\
<!-- made by python -m docs.site.pages -->

# The zoo

Networks of the field as text, each in a file that `sewdsl nets NAME` prints. *Lines* are those of the network: header,
blocks, named values and body, without comments, figures and recipes; blocks that come with sewdsl (`sewdsl nets
blocks`) are not counted. *Peer* is what SpikingJelly 2.0.0 has for it: a class or a constructor, and the lines of
Python of the module that it is in, which often has others of the family, without comments, docstrings and blank lines.
Parameters are counted from the text; those that the paper prints are next to them, and so is what holds of all that it
prints. Multiply-accumulates (MACs) are those of one time-step and sample. Energies that papers print of these networks
are [computed again](published-energies.md) on a page of their own.

"""
WEIGHTS_PAGE = """\

## Trained weights

Printed accuracies are those of the files, on the data of the paper. *Ours* is the accuracy of the
[shipped weights](weights.md#shipped-weights). *Weights* has the address at which the authors publish weights, *source*
the text that names it. *Scheme* is the [scheme](weights.md#schemes) of their keys. An empty cell means that no source
was found, not that there are no weights. No file at these addresses is part of the tests.

"""
MEASURED = {"mnist5k": 0.977, "mnist5k-dvs": 0.975}
"""Accuracy of the weights that are shipped; the tests measure it again."""
FANG, HU, YAO = "Fang et al., NeurIPS 2021", "Hu et al., 2021", "Yao et al., TPAMI 2023"
ZHOU, QK, SDT = "Zhou et al., ICLR 2023", "Zhou et al., NeurIPS 2024", "Yao et al., NeurIPS 2023"
MAX, ZHENG = "Max-Former, 2025", "Zheng et al., AAAI 2021"
ZOO: dict[str, tuple[str, str]] = {
    "7b-net": (FANG, ""),
    "sew-resnet-18": (FANG, "sew_resnet.sew_resnet18"),
    "sew-resnet-34": (FANG, "sew_resnet.sew_resnet34"),
    "sew-resnet-50": (FANG, "sew_resnet.sew_resnet50"),
    "sew-resnet-101": (FANG, "sew_resnet.sew_resnet101"),
    "sew-resnet-152": (FANG, "sew_resnet.sew_resnet152"),
    "sew-resnet-18-or": (f"after {FANG}", ""),
    "sew-resnet-18-weighted": (f"after {FANG}", ""),
    "spiking-resnet-18": (FANG, "spiking_resnet.spiking_resnet18"),
    "spiking-resnet-34": (FANG, "spiking_resnet.spiking_resnet34"),
    "spiking-resnet-50": (FANG, "spiking_resnet.spiking_resnet50"),
    "tdbn-resnet-17": (ZHENG, ""),
    "tdbn-resnet-19": (ZHENG, ""),
    "tdbn-resnet-34": (ZHENG, ""),
    "tdbn-resnet-50": (ZHENG, ""),
    "plif-net-dvs-gesture": ("Fang et al., ICCV 2021", "parametric_lif_net.DVSGestureNet"),
    "plif-net-cifar10-dvs": ("Fang et al., ICCV 2021", "parametric_lif_net.CIFAR10DVSNet"),
    "ms-resnet-18": (HU, "ms_resnet.ms_resnet18"),
    "ms-resnet-34": (HU, "ms_resnet.ms_resnet34"),
    "ms-resnet-104": (HU, ""),
    "max-resnet-18": (MAX, "ms_resnet.max_resnet18"),
    "att-ms-resnet-18": (YAO, "masnn.att_ms_resnet18"),
    "masnn-dvs-gesture": (YAO, "masnn.masnn_dvs128_gesture"),
    "tcja-net": ("Zhu et al., TNNLS 2024", ""),
    "tebn-resnet-19": ("Duan et al., NeurIPS 2022", ""),
    "psn-resnet-19": ("Fang et al., NeurIPS 2023", ""),
    "psn-sequential-cifar10": ("Fang et al., NeurIPS 2023", ""),
    "klif-resnet-19": ("after Jiang and Zhang, 2023", ""),
    "glif-resnet-19": ("Yao et al., NeurIPS 2022", ""),
    "ilif-resnet-18": ("after Luo et al., ECCV 2024", ""),
    "tet-vggsnn": ("Deng et al., ICLR 2022", ""),
    "spiking-vgg-11": ("Simonyan and Zisserman, ICLR 2015", "spiking_vgg.spiking_vgg11_bn"),
    "spiking-vgg-16": ("Simonyan and Zisserman, ICLR 2015", "spiking_vgg.spiking_vgg16_bn"),
    "spiking-densenet-121": ("Huang et al., CVPR 2017", ""),
    "spiking-unet": ("Ronneberger et al., MICCAI 2015", ""),
    "spikformer-ti": (ZHOU, "spikformer.spikformer_ti"),
    "spikformer-s": (ZHOU, "spikformer.spikformer_s"),
    "spikformer-8-512": (ZHOU, "spikformer.Spikformer"),
    "spikformer-8-768": (ZHOU, "spikformer.Spikformer"),
    "spikformer-cifar10": (ZHOU, "spikformer.spikformer_cifar10"),
    "qkformer-10-384": (QK, "qkformer.qkformer_10_384"),
    "qkformer-10-768": (QK, "qkformer.QKFormer"),
    "sdt-8-384": (SDT, "spike_driven_transformer.sdt_8_384"),
    "sdt-8-512": (SDT, "spike_driven_transformer.SpikeDrivenTransformer"),
    "sdt-v2": ("Yao et al., ICLR 2024", ""),
    "maxformer-10-384": (MAX, "maxformer.maxformer_10_384"),
    "maxformer-cifar": (MAX, "maxformer.maxformer_cifar"),
    "snasnet-forward": ("Kim et al., ECCV 2022", "snas_net.SNASNet"),
    "snasnet-backward": ("Kim et al., ECCV 2022", "snas_net.SNASNet"),
    "spikedhs-cell": ("Che et al., NeurIPS 2022", "spike_dhs.Cell"),
    "srnn-shd": ("Cramer et al., TNNLS 2022", ""),
}
"""The paper of each network, and its class in SpikingJelly's models, if there is one."""


class Published(NamedTuple):
    """Weights that the authors of a network publish.

    Attributes:
        where: Address, in Markdown.
        source: Address of the text that says so, in Markdown.
        scheme: Name of the scheme of their keys; empty: unknown.
    """

    where: str
    source: str
    scheme: str = ""


_SEW = "https://github.com/fangwei123456/Spike-Element-Wise-ResNet"
_FIGSHARE = "https://figshare.com/articles/software/Spike-Element-Wise-ResNet/14752998"
_FANG = Published(f"[figshare]({_FIGSHARE}), some of the networks", f"[README]({_SEW})", "authors")
_MS = Published(
    "[Google Drive](https://drive.google.com/drive/folders/1NMn6RNMpqi6NqKckgFg0t7ewbct-H6_s), networks not named",
    "[issue 2](https://github.com/Ariande1/MS-ResNet/issues/2)",
)
_QK = Published(
    "[Baidu](https://pan.baidu.com/s/1LsECpFOxh30O3vHWow8OGQ) (password abcd; expired according to "
    "[issue 14](https://github.com/zhouchenlin2096/QKFormer/issues/14))",
    "[README](https://github.com/zhouchenlin2096/QKFormer)",
)
_PLIF = Published(
    "not published: too large for the repository",
    "[README](https://github.com/fangwei123456/Parametric-Leaky-Integrate-and-Fire-Spiking-Neuron)",
)
PRINTED = {"7b-net": "97.92% (Tab. 4)", "sew-resnet-18": "63.18% (Tab. 2)", "spiking-resnet-18": "62.32% (Tab. 2)"}
"""Accuracies in the comments of files that are the basis of many variants, to each of which a claim would not apply."""
PUBLISHED: dict[str, Published] = {
    **{f"sew-resnet-{depth}": _FANG for depth in (18, 34, 50, 101, 152)},
    **{f"spiking-resnet-{depth}": _FANG for depth in (18, 34, 50)},
    "plif-net-dvs-gesture": _PLIF,
    "plif-net-cifar10-dvs": _PLIF,
    "ms-resnet-18": _MS,
    "ms-resnet-34": _MS,
    "ms-resnet-104": _MS,
    "qkformer-10-384": _QK,
    "qkformer-10-768": _QK,
}
"""Where authors publish weights of networks of the zoo; a network without a source is left out."""


def weights() -> str:
    """The table of printed and measured accuracies, and of weights."""

    def rows() -> Iterator[str]:
        for name in (*trained_networks(), *ZOO):
            network = read_shipped(name).result()
            printed = [f"{claim.value} ({claim.source})" for claim in measured_claims(network, "accuracy")]
            printed = printed or ([PRINTED[name]] if name in PRINTED else [])
            if name in trained_networks():
                ours = f"{MEASURED[name]:.1%}"
                cells = ["", ours, "shipped", "[page](weights.md#shipped-weights)", "`sewdsl`", "not needed"]
            else:
                found = PUBLISHED.get(name, Published("", ""))
                scheme = f"`{found.scheme}`" if found.scheme else ""
                line = f"`sewdsl weights convert FILE ours.safetensors --net {name}`" if found.scheme else ""
                cells = [", ".join(printed), "", found.where, found.source, scheme, line]
            if any(cells):
                yield f"| {' | '.join([f'`{name}`', *cells])} |\n"

    head = ["network", "accuracy printed", "ours", "weights", "source", "scheme", "conversion"]
    return f"{WEIGHTS_PAGE}| {' | '.join(head)} |\n| {' | '.join('---' for _ in head)} |\n{''.join(rows())}"


def lines_of_text(name: str) -> int:
    """Lines of a shipped file that say what its network is."""
    lines = shipped_networks()[name].read_text(encoding="utf-8").splitlines()
    document = read_shipped(name).document
    kept: set[int] = set()
    for statement in document.statements if document else ():
        if isinstance(statement, Setting | BlockDefinition | Let | Body) and not isinstance(statement, Section | Allow):
            first = statement.span.line
            kept.update(range(first, first + statement.span.text.count("\n") + 1))
    return sum(1 for number in kept if lines[number - 1].partition("#")[0].strip())


def lines_of_python(text: str) -> int:
    """Lines of a program without blank lines, comments and docstrings."""
    tree = ast.parse(text)
    documented: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            first = node.body[0]
            documented.update(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    lines = enumerate(text.splitlines(), start=1)
    return sum(1 for number, line in lines if line.split("#")[0].strip() and number not in documented)


def zoo() -> str:
    """The page: a row for each network."""

    def rows() -> Iterator[str]:
        for name, (paper, peer) in ZOO.items():
            network = read_shipped(name).result()
            module, _, class_ = peer.partition(".")
            beside = f"`{class_}`, {lines_of_python(_peer(module).read_text(encoding='utf-8'))}" if peer else "–"
            claims = [one for one in network.expectations if not one.binding and not is_measured(network, one)]
            printed = [claim.value for claim in claims if claim.quantity == "parameters"]
            holds = [bool(agrees_with_figure(one, compute_quantity(network, one.quantity))) for one in claims]
            verdict = f"{sum(holds)} of {len(holds)}" if holds else "–"
            cells = [
                *(f"`{name}`", paper, str(lines_of_text(name)), beside, ", ".join(printed) or "–"),
                *(f"{network.total_parameters:,}", f"{network.total_macs:,}", verdict),
            ]
            yield f"| {' | '.join(cells)} |\n"

    head = ["network", "paper", "lines", "peer, its lines", "printed", "parameters", "MACs", "claims that hold"]
    table = f"| {' | '.join(head)} |\n| {' | '.join('---' for _ in head)} |\n{''.join(rows())}"
    return PAGE + table + weights()


def _peer(module: str) -> Path:
    """The file of a module of SpikingJelly's models; it is read, not run."""
    found = find_spec("spikingjelly")
    assert found is not None  # noqa: S101 -- it is installed for the tests
    assert found.origin is not None  # noqa: S101
    return Path(found.origin).parent / "activation_based" / "model" / f"{module}.py"
