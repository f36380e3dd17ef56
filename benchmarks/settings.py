"""The memory allocators' settings under which everything is measured: the one place that lists them.

They are variables of the environment, read once when a process starts. A setting that sewdsl makes for itself belongs
here, so that its peers are measured with it too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sewdsl.allocator import LARGEST, MAX_MAPPINGS, MMAP_THRESHOLD


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
        # what sewdsl.allocator sets in 'sewdsl train': no block is a mapping of its own, and what
        # is freed is not given back, so that the pages of one training step serve the next
        "MALLOC_MMAP_MAX_": "0",
        "MALLOC_TRIM_THRESHOLD_": str(LARGEST),
        "MALLOC_ARENA_MAX": "1",
    },
)

RETURNING = Setting(
    "memory returned",
    {
        # what it sets where the recipe says how much memory there is: all that is large is a mapping of its own and
        # goes back as soon as it is done with; pages of 2 MB make up for some of the time that this takes
        "MALLOC_MMAP_MAX_": str(MAX_MAPPINGS),
        "MALLOC_MMAP_THRESHOLD_": str(MMAP_THRESHOLD),
        "MALLOC_TRIM_THRESHOLD_": str(MMAP_THRESHOLD),
        "MALLOC_ARENA_MAX": "1",
        "THP_MEM_ALLOC_ENABLE": "1",
    },
)

SETTINGS = (AS_IT_COMES, KEEPING)
"""What is measured unless a case says more."""

ALL = (*SETTINGS, RETURNING)
"""What is measured where memory is the question."""

OWN = KEEPING
"""Under which sewdsl is the base of the ratios in the tables."""

NAMES = frozenset(
    {
        *(name for setting in ALL for name in setting.environment),
        "GLIBC_TUNABLES",
        "LD_PRELOAD",
        "MALLOC_TOP_PAD_",
    }
)
"""Variables of the caller's that would change what is measured; none of them is inherited."""


def setting(name: str) -> Setting:
    """The setting of a name."""
    return next(setting for setting in ALL if setting.name == name)
