"""All schemes, by name."""

from __future__ import annotations

from sewdsl.export.weights.authors import FangImageNetScheme
from sewdsl.export.weights.authors_dvs import FangDvsScheme
from sewdsl.export.weights.ours import NodePathScheme
from sewdsl.export.weights.scheme import Scheme
from sewdsl.export.weights.spikingjelly import SpikingJellyScheme
from sewdsl.export.weights.torchvision import TorchVisionScheme

SCHEMES: dict[str, Scheme] = {
    scheme.name: scheme
    for scheme in (NodePathScheme(), FangImageNetScheme(), FangDvsScheme(), SpikingJellyScheme(), TorchVisionScheme())
}
