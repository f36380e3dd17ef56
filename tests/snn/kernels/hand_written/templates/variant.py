"""Names in which one kernel differs from another: ``render.py`` puts values and functions in their place."""

HAS_JOIN = False
"""Whether a join takes the spikes."""

READS_OTHER = False
"""Whether the join, or in a backward kernel its derivatives, depend on its other operand."""

PASSES_SPIKES = False
"""Whether the derivative of the join by the spikes is 1."""


def surrogate_slope(u):
    """The derivative of the surrogate at u = h - v_threshold."""


def join(s, z):
    """Return the join of spikes ``s`` and the other operand ``z``."""


def join_slope_by_spikes(s, z):
    """The derivative of the join by the spikes."""


def join_slope_by_other(s, z):
    """The derivative of the join by its other operand."""
