"""Networks as papers and public code print them, and what is known of them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Printed:
    """A network in the notation of its source.

    Attributes:
        source: Where it is printed.
        text: As printed.
        dialect: How it is read there, as far as the source says so.
        shape: The input.
        parameters: As the source prints it, or by arithmetic.
        ours: The body in our notation.
    """

    source: str
    text: str
    dialect: str
    shape: str
    parameters: int
    ours: str


PRINTED = (
    Printed(
        "He et al. 2020, Comparing SNNs and RNNs on neuromorphic vision datasets; their code prints the parameters",
        "Input-MP4-64C3-128C3-AP2-128C3-AP2-256FC-11",
        "he(norm=none, padding=same, neurons=both, output=spikes)",
        "2x128x128",
        2_322_891,
        "MPk4-c64k3-SN-c128k3-SN-APk2-SN-c128k3-SN-APk2-SN-FC256-SN-FC11-SN",
    ),
    Printed(
        "Zhang and Li 2020, TSSL-BP, MNIST; Networks/MNIST_CNN.yaml has padding 0, 640 inputs, and an output of 10",
        "15C5-P2-40C5-P2-300",
        "he(padding=none, classes=10)",
        "1x28x28",
        (25 + 1) * 15 + (15 * 25 + 1) * 40 + 641 * 300 + 301 * 10,
        "c15k5p0-SN-APk2-c40k5p0-SN-APk2-FC300-SN-FC10",
    ),
    Printed(
        "Zhang and Li 2020, TSSL-BP, CIFAR10; Networks/CIFAR10.yaml has padding 1, 16384 inputs of 1024",
        "96C3-256C3-P2-384C3-P2-384C3-256C3-1024-1024",
        "he(padding=same, classes=10)",
        "3x32x32",
        28 * 96 + 865 * 256 + 2305 * 384 + 3457 * 384 + 3457 * 256 + 16385 * 1024 + 1025 * 1024 + 1025 * 10,
        "c96k3-SN-c256k3-SN-APk2-c384k3-SN-APk2-c384k3-SN-c256k3-SN-FC1024-SN-FC1024-SN-FC10",
    ),
    Printed(
        "snnTorch, tutorial 6: 1024 inputs, neurons behind the pools and the output",
        "12C5-MP2-64C5-MP2-1024FC10",
        "he(padding=none, neurons=pool, output=spikes)",
        "1x28x28",
        26 * 12 + 301 * 64 + 1025 * 10,
        "c12k5p0-MPk2-SN-c64k5p0-MPk2-SN-FC10-SN",
    ),
    Printed(
        "Diehl et al. 2015, Fast-classifying spiking networks: s is subsampling by averaging",
        "28x28-12c5-2s-64c5-2s-10o",
        "he(padding=none)",
        "1x28x28",
        26 * 12 + 301 * 64 + 1025 * 10,
        "c12k5p0-SN-APk2-c64k5p0-SN-APk2-FC10",
    ),
    Printed(
        "Lee et al. 2016, Training deep SNNs using backpropagation",
        "20C5-P2-50C5-P2-200-10",
        "he(padding=none)",
        "1x28x28",
        26 * 20 + 501 * 50 + 801 * 200 + 201 * 10,
        "c20k5p0-SN-APk2-c50k5p0-SN-APk2-FC200-SN-FC10",
    ),
    Printed(
        "Wu et al. 2018, STBP",
        "15C5-P2-40C5-P2-300-10",
        "he(padding=none)",
        "1x28x28",
        26 * 15 + 376 * 40 + 641 * 300 + 301 * 10,
        "c15k5p0-SN-APk2-c40k5p0-SN-APk2-FC300-SN-FC10",
    ),
    Printed(
        "Wu et al. 2018, STBP, without convolutions",
        "784-800-10",
        "he",
        "784",
        785 * 800 + 801 * 10,
        "FC800-SN-FC10",
    ),
    Printed(
        "Shrestha and Orchard 2018, SLAYER: a is an aggregation",
        "28x28-12c5-2a-64c5-2a-10o",
        "he(padding=none, output=spikes)",
        "1x28x28",
        26 * 12 + 301 * 64 + 1025 * 10,
        "c12k5p0-SN-APk2-c64k5p0-SN-APk2-FC10-SN",
    ),
    Printed(
        "Cheng et al. 2020, LISNN",
        "32C3-P2-32C3-P2-128-10",
        "he",
        "1x28x28",
        10 * 32 + 289 * 32 + (7 * 7 * 32 + 1) * 128 + 129 * 10,
        "c32k3-SN-APk2-c32k3-SN-APk2-FC128-SN-FC10",
    ),
    Printed(
        "Wu et al. 2019, Direct training, CIFARNet, with an output in place of its Voting",
        "128C3(Encoding)-256C3-AP2-512C3-AP2-1024C3-512C3-1024FC-512FC-10",
        "he",
        "3x32x32",
        28 * 128 + 1153 * 256 + 2305 * 512 + 4609 * 1024 + 9217 * 512 + (64 * 512 + 1) * 1024 + 1025 * 512 + 513 * 10,
        "c128k3-SN-c256k3-SN-APk2-c512k3-SN-APk2-c1024k3-SN-c512k3-SN-FC1024-SN-FC512-SN-FC10",
    ),
    Printed(
        "Xiao et al. 2022, OTTT: the width of FC is that of the classes",
        "64C3-128C3-AP2-256C3-256C3-AP2-512C3-512C3-AP2-512C3-512C3-GAP-FC",
        "he(classes=10)",
        "3x32x32",
        28 * 64 + 577 * 128 + 1153 * 256 + 2305 * 256 + 2305 * 512 + 4609 * 512 * 3 + 513 * 10,
        "c64k3-SN-c128k3-SN-APk2-c256k3-SN-c256k3-SN-APk2-c512k3-SN-c512k3-SN-APk2-c512k3-SN-c512k3-SN-GAP-FC10",
    ),
    Printed(
        "a VGG network of papers on DVS-CIFAR10, such as Deng et al. 2022, TET; with batch norm",
        "64C3-128C3-AP2-256C3-256C3-AP2-512C3-512C3-AP2-512C3-512C3-AP2-FC",
        "he(norm=BN, classes=10)",
        "2x48x48",
        (18 + 2) * 64 + 578 * 128 + 1154 * 256 + 2306 * 256 + 2306 * 512 + 4610 * 512 * 3 + (512 * 9 + 1) * 10,
        "c64k3-BN-SN-c128k3-BN-SN-APk2-c256k3-BN-SN-c256k3-BN-SN-APk2-c512k3-BN-SN-c512k3-BN-SN-APk2-"
        "c512k3-BN-SN-c512k3-BN-SN-APk2-FC10",
    ),
    Printed(
        "Courbariaux et al. 2015, BinaryConnect, which others write after",
        "(2\u00d7128C3)\u2212MP2\u2212(2\u00d7256C3)\u2212MP2\u2212(2\u00d7512C3)\u2212MP2\u2212(2\u00d71024FC)\u221210SVM",
        "he(norm=BN)",
        "3x32x32",
        29 * 128 + 1154 * 128 + 1154 * 256 + 2306 * 256 + 2306 * 512 + 4610 * 512 + 8193 * 1024 + 1025 * 1034,
        "{c128k3-BN-SN}*2-MPk2-{c256k3-BN-SN}*2-MPk2-{c512k3-BN-SN}*2-MPk2-{FC1024-SN}*2-FC10",
    ),
    Printed(
        "Wu et al. 2018, WAGE",
        "2\u00d7(128C3)-MP2-2\u00d7(256C3)-MP2-2\u00d7(512C3)-MP2-1024FC-10SSE",
        "he",
        "3x32x32",
        28 * 128 + 1153 * 128 + 1153 * 256 + 2305 * 256 + 2305 * 512 + 4609 * 512 + 8193 * 1024 + 1025 * 10,
        "{c128k3-SN}*2-MPk2-{c256k3-SN}*2-MPk2-{c512k3-SN}*2-MPk2-FC1024-SN-FC10",
    ),
    Printed(
        "the form of code for binarised networks, with norms written where they stand",
        "128Conv3-BN-128Conv3-MaxPool2-BN-256Conv3-BN-1024fc-10fc",
        "he",
        "3x8x8",
        28 * 128 + 256 - 128 + 1153 * 128 + 256 + 1153 * 256 - 256 + 512 + (16 * 256 + 1) * 1024 + 1025 * 10,
        "c128k3-BN-SN-c128k3-SN-MPk2-BN-c256k3-BN-SN-FC1024-SN-FC10",
    ),
)
