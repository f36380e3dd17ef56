"""The memory allocators' settings under which everything is measured: the one place that lists them.

They are variables of the environment, read once when a process starts. A setting that sewdsl makes for itself belongs
here, so that its peers are measured with it too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

TEBIBYTE = str(2**40)


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
        # torch: large tensors are aligned to, and ask for, pages of 2 MiB, so that there are 512 times fewer faults
        "THP_MEM_ALLOC_ENABLE": "1",
        # glibc: no block is a mapping of its own, and what is freed is not given back, so that the pages of one
        # training step serve the next
        "MALLOC_MMAP_MAX_": "0",
        "MALLOC_TRIM_THRESHOLD_": TEBIBYTE,
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
        "MALLOC_ARENA_MAX",
        "MALLOC_MMAP_THRESHOLD_",
        "MALLOC_TOP_PAD_",
    }
)
"""Variables of the caller's that would change what is measured; none of them is inherited."""


def setting(name: str) -> Setting:
    """The setting of a name."""
    return next(setting for setting in SETTINGS if setting.name == name)
