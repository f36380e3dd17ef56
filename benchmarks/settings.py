"""The memory allocators' settings under which everything is measured: the one place that lists them.

They are variables of the environment, read once when a process starts. A setting that sewdsl makes for itself belongs
here, so that its peers are measured with it too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sewdsl.train.allocator import LARGEST


@dataclass(frozen=True)
class Setting:
    """Variables that a measured process gets.

    Attributes:
        name: As the tables print it.
        environment: The variables; all others of :data:`NAMES` are taken away.
    """

    name: str
    environment: Mapping[str, str]


AS_IT_COMES = Setting("as it comes", {})

KEEPING = Setting(
    "memory kept",
    {
        # what sewdsl.train.allocator sets in 'sewdsl train': no block is a mapping of its own, and what is freed is not
        # given back, so that the pages of one training step serve the next
        "MALLOC_MMAP_MAX_": "0",
        "MALLOC_TRIM_THRESHOLD_": str(LARGEST),
        "MALLOC_ARENA_MAX": "1",
    },
)

SETTINGS = (AS_IT_COMES, KEEPING)

OWN = KEEPING
"""Under which sewdsl is the base of the ratios in the tables."""

NAMES = frozenset(
    {
        *(name for setting in SETTINGS for name in setting.environment),
        "GLIBC_TUNABLES",
        "LD_PRELOAD",
        "MALLOC_MMAP_THRESHOLD_",
        "MALLOC_TOP_PAD_",
        "THP_MEM_ALLOC_ENABLE",
    }
)
"""Variables of the caller's that would change what is measured; none of them is inherited."""


def setting(name: str) -> Setting:
    """The setting of a name."""
    return next(setting for setting in SETTINGS if setting.name == name)
