"""All schemes, by name."""

from __future__ import annotations

from sewdsl.export.weights.authors import Authors
from sewdsl.export.weights.authors_dvs import AuthorsDVS
from sewdsl.export.weights.ours import Ours
from sewdsl.export.weights.scheme import Scheme
from sewdsl.export.weights.spikingjelly import SpikingJelly
from sewdsl.export.weights.torchvision import TorchVision

SCHEMES: dict[str, Scheme] = {
    scheme.name: scheme for scheme in (Ours(), Authors(), AuthorsDVS(), SpikingJelly(), TorchVision())
}
