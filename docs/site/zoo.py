"""Zoo page: published networks in the language, compared with papers and with SpikingJelly."""

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

# Zoo

Networks of published papers. `sewdsl nets NAME` prints the file of a network.

| column | contents |
|---|---|
| lines | lines of the file that define the network: settings, blocks, named values and body. \
Comments, claims, recipes and shipped blocks (`sewdsl nets blocks`) are not counted |
| SpikingJelly | class or constructor in SpikingJelly 2.0.0, and the lines of its Python module \
without comments, docstrings and blank lines. A module often defines several networks |
| published | number of parameters in the paper |
| parameters | computed number of parameters |
| MACs | multiply-accumulate operations per time-step and sample |
| claims | published values that agree with the computed values |

[Published energies](published-energies.md) compares the energies in the papers with computed values.

"""
WEIGHTS_PAGE = """\

## Trained weights

| column | contents |
|---|---|
| published accuracy | accuracy on the dataset of the paper, and its source. \
A table without an author is in the paper of the network |
| accuracy | accuracy of the [shipped weights](weights.md#shipped-weights) |
| weights | address of the weights published by the authors |
| source | page that states the address |
| scheme | [key scheme](weights.md#schemes) of the weights |

An empty cell means that no source was found. The tests do not use the files at these addresses.

"""
MEASURED = {"mnist5k": 0.977, "mnist5k-dvs": 0.975, "mnist5k-mcu": 0.981, "mnist5k-speck": 0.968}
"""Accuracy of the shipped weights. The tests measure it."""
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
    "spikingresformer-ti": ("Shi et al., CVPR 2024", ""),
    "sdt-8-384": (SDT, "spike_driven_transformer.sdt_8_384"),
    "sdt-8-512": (SDT, "spike_driven_transformer.SpikeDrivenTransformer"),
    "sdt-v2": ("Yao et al., ICLR 2024", ""),
    "maxformer-10-384": (MAX, "maxformer.maxformer_10_384"),
    "maxformer-cifar": (MAX, "maxformer.maxformer_cifar"),
    "snasnet-forward": ("Kim et al., ECCV 2022", "snas_net.SNASNet"),
    "snasnet-backward": ("Kim et al., ECCV 2022", "snas_net.SNASNet"),
    "spikedhs-cell": ("Che et al., NeurIPS 2022", "spike_dhs.Cell"),
    "spiking-mlp-mixer": ("after Tolstikhin et al., NeurIPS 2021", ""),
    "tim": ("after Shen et al., IJCAI 2024", ""),
    "dcgan-generator": ("after Radford et al., ICLR 2016", ""),
    "early-exits": ("after Zhang et al., ICCV 2019", ""),
    "fsvae": ("after Kamata et al., AAAI 2022", ""),
    "siamese": ("after Koch et al., ICML Workshop 2015", ""),
    "evflow-gru": ("after Hagenaars et al., NeurIPS 2021", ""),
    "srnn-shd": ("Cramer et al., TNNLS 2022", ""),
    "dcls-shd": ("Hammouamri et al., ICLR 2024", ""),
    "spiking-maskformer": ("after Lei et al., AAAI 2025", ""),
    "s4d": ("after Gu et al., NeurIPS 2022", ""),
}
"""The paper of each network, and its class in SpikingJelly's models, if there is one."""


class Published(NamedTuple):
    """Weights that the authors of a network publish.

    Attributes:
        where: Address of the weights, in Markdown.
        source: Page that states the address, in Markdown.
        scheme: Name of the key scheme. Empty if unknown.
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
"""Published accuracies of networks that are the basis of many variants.

They are in comments of the files: a claim would apply to every variant.
"""
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
    "spikingresformer-ti": Published(
        "[Google Drive](https://drive.google.com/drive/folders/1sAFHKF9QZC2P0aSoC9bdLqgW8TfLjFSC?usp=sharing)",
        "[README](https://github.com/xyshi2000/SpikingResformer)",
    ),
}
"""Weights published by the authors of networks in the zoo."""


def weights() -> str:
    """Return the table of published and measured accuracies, and of weights."""

    def rows() -> Iterator[str]:
        for name in (*trained_networks(), *ZOO):
            network = read_shipped(name).result()
            printed = [f"{claim.value} ({claim.source})" for claim, _ in measured_claims(network, "accuracy")]
            printed = printed or ([PRINTED[name]] if name in PRINTED else [])
            if name in trained_networks():
                accuracy = f"{MEASURED[name]:.1%}"
                cells = ["", accuracy, "shipped", "[page](weights.md#shipped-weights)", "`sewdsl`", "not needed"]
            else:
                published = PUBLISHED.get(name, Published("", ""))
                scheme = f"`{published.scheme}`" if published.scheme else ""
                line = f"`sewdsl weights convert FILE ours.safetensors --net {name}`" if published.scheme else ""
                cells = [", ".join(printed), "", published.where, published.source, scheme, line]
            if any(cells):
                yield f"| {' | '.join([f'`{name}`', *cells])} |\n"

    head = ["network", "published accuracy", "accuracy", "weights", "source", "scheme", "conversion"]
    return f"{WEIGHTS_PAGE}| {' | '.join(head)} |\n| {' | '.join('---' for _ in head)} |\n{''.join(rows())}"


def lines_of_text(name: str) -> int:
    """Return the number of lines of a shipped file that define its network."""
    lines = shipped_networks()[name].read_text(encoding="utf-8").splitlines()
    document = read_shipped(name).document
    defining: set[int] = set()
    for statement in document.statements if document else ():
        if isinstance(statement, Setting | BlockDefinition | Let | Body) and not isinstance(statement, Section | Allow):
            first = statement.span.line
            defining.update(range(first, first + statement.span.text.count("\n") + 1))
    return sum(1 for line_number in defining if lines[line_number - 1].partition("#")[0].strip())


def lines_of_python(text: str) -> int:
    """Return the number of lines of a program, without blank lines, comments and docstrings."""
    tree = ast.parse(text)
    documented: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            first = node.body[0]
            documented.update(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    lines = enumerate(text.splitlines(), start=1)
    return sum(1 for line_number, line in lines if line.split("#")[0].strip() and line_number not in documented)


def zoo() -> str:
    """Return the zoo page."""

    def rows() -> Iterator[str]:
        for name, (paper, peer) in ZOO.items():
            network = read_shipped(name).result()
            module, _, class_ = peer.partition(".")
            peer_lines = f"`{class_}`, {lines_of_python(_peer(module).read_text(encoding='utf-8'))}" if peer else "–"
            claims = [one for one in network.expectations if not one.binding and not is_measured(network, one)]
            printed = [claim.value for claim in claims if claim.quantity == "parameters"]
            holds = [bool(agrees_with_figure(one, compute_quantity(network, one.quantity))) for one in claims]
            verdict = f"{sum(holds)} of {len(holds)}" if holds else "–"
            cells = [
                *(f"`{name}`", paper, str(lines_of_text(name)), peer_lines, ", ".join(printed) or "–"),
                *(f"{network.total_parameters:,}", f"{network.total_macs:,}", verdict),
            ]
            yield f"| {' | '.join(cells)} |\n"

    head = ["network", "paper", "lines", "SpikingJelly", "published", "parameters", "MACs", "claims"]
    table = f"| {' | '.join(head)} |\n| {' | '.join('---' for _ in head)} |\n{''.join(rows())}"
    return PAGE + table + weights()


def _peer(module: str) -> Path:
    """Return the file of a module of SpikingJelly's models, without importing the module."""
    spec = find_spec("spikingjelly")
    assert spec is not None  # noqa: S101 -- installed for the tests
    assert spec.origin is not None  # noqa: S101
    return Path(spec.origin).parent / "activation_based" / "model" / f"{module}.py"
