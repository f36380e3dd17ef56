"""Targets whose documents list layers: compilers, and chips without sizes in public documents."""

from __future__ import annotations

from sewdsl.ops.joins import Add
from sewdsl.ops.layers.conv import Conv
from sewdsl.ops.layers.linear import Linear
from sewdsl.ops.layers.norms import BatchNorm
from sewdsl.ops.layers.pool import AvgPool, GlobalAvgPool, MaxPool
from sewdsl.ops.merges import Concatenation
from sewdsl.targets.layers import LayerTarget
from sewdsl.targets.target import Citation

PYPI, GITHUB = "https://pypi.org/project", "https://github.com"
NIR = f"{GITHUB}/neuromorphs/NIR/blob/a070492c168fe26f767c65b70801828a754916a2/docs/source/examples/spinnaker2"
HLS4ML_DOCS = f"{GITHUB}/fastmachinelearning/hls4ml/blob/048428321aa81544fd3bdcb7f707657cf0498c1f/docs/advanced"
SNN_MLIR = LayerTarget(
    name="snn-mlir",
    title="snn-mlir 1.0.0, compiler of NIR files",
    sources=(
        Citation("README: nodes of NIR", f"{PYPI}/snn-mlir/1.0.0/"),
        Citation("snn_mlir/_graph.py: chains; nodes/lif.py: resets; nodes/conv.py: groups", f"{PYPI}/snn-mlir/1.0.0/"),
    ),
    unknown=("memory: the compiler states no limit of weights or neurons",),
    layers=(Conv, Linear, AvgPool, GlobalAvgPool, BatchNorm),
    chain=True,
    plain=True,
)
HLS4ML = LayerTarget(
    name="hls4ml",
    title="hls4ml after 1.3.0, compiler of snnTorch models for FPGAs",
    sources=(Citation("Spiking Neural Networks (PyTorch/SNN)", f"{HLS4ML_DOCS}/snn.rst"),),
    unknown=("resources of the FPGA: the report of the synthesis states them",),
    layers=(Linear,),
    undocumented=(Conv, BatchNorm, AvgPool, GlobalAvgPool, MaxPool, Add, Concatenation),
    resets=("to zero", "by subtraction"),
)
SPINNAKER2 = LayerTarget(
    name="spinnaker2",
    title="SpiNNaker2, chip with py-spinnaker2 for NIR files",
    sources=(
        Citation("NIR, Supported Primitives in SpiNNaker2", f"{NIR}/supported_primitives.md"),
        Citation("py-spinnaker2, s2_nir.py: order of layers", "https://gitlab.com/spinnaker2/py-spinnaker2"),
    ),
    unknown=("memory: users set the neurons of a core, and no source states a limit",),
    layers=(Conv, Linear),
    undocumented=(AvgPool, GlobalAvgPool, Add),
    separate=True,
)
LOIHI2 = LayerTarget(
    name="loihi2",
    title="Loihi 2, chip with lava-dl 0.6.0",
    sources=(
        Citation("lava-dl 0.6.0, lava/lib/dl/netx/hdf5.py: layers of a network", f"{PYPI}/lava-dl/0.6.0/"),
        Citation("lava-nc 0.10.0, lava/proc/lif/models.py: reset, threshold", f"{PYPI}/lava-nc/0.10.0/"),
        Citation(
            "Loihi 2: neurons of a chip", "https://open-neuromorphic.org/neuromorphic-computing/hardware/loihi-2-intel/"
        ),
    ),
    unknown=(
        "cores: no source states how neurons and synapses are placed",
        "rounding: weights are integers from -256 to 254; neurons fire above their threshold, not at it",
    ),
    layers=(Conv, Linear),
    chain=True,
    fires=True,
    neurons=1_000_000,
)
