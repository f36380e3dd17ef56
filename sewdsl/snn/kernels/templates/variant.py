"""Names in which one kernel differs from another: the renderer puts values in their place.

The values given here are examples, for readers and linters.
"""

STORED = "float32"
"""Dtype of input and spikes."""

CACHE_LINE_ELEMENTS = 16
"""How many stored numbers a line of the processor's caches holds."""

STREAMED_ELEMENTS = 1 << 23
"""From how many stored numbers on a sequence is written past the caches."""

STREAMED_LANES = 8
"""How many stored numbers are written past the caches at once."""

BITS = 1
"""Bits of a packed number: 1, 2, 4 or 8."""

LANES = 64
"""Bytes in a group of packed numbers."""

MAX_WHOLE_PERIOD = 4096
"""Up to this many neurons, a period of channels is held as a whole."""

WINDOWS_OVERLAP = True
"""Whether windows of max pooling overlap."""

COUNTS = False
"""Whether the inputs of a convolution may be other numbers than 0 and 1."""

KERNEL_ROWS = 3
"""Height of a convolution's kernel."""

KERNEL_COLUMNS = 3
"""Width of a convolution's kernel."""

MASK_LANES = 32
"""Inputs that are looked at together: a power of 2, at most 64, that divides the channels."""

VECTOR = 8
"""Numbers in a vector."""

VECTORS = 4
"""Vectors of output channels that are summed up in registers at once."""

TILE = 4
"""Height and width of the outputs that Winograd's algorithm computes together: 2 or 4."""

SMALL_TILE = False
"""Whether these are 2."""

SPAN_BITS = 6
"""Binary logarithm of how many times a window's largest input the largest of its tile may be."""

APART = 16
"""Numbers between two places of Winograd's algorithm, over and above those of the tiles."""

BLOCK = 32
"""Tiles whose products are transformed back together."""

ROWS = 4
"""Rows of a matrix that are multiplied at once: tiles or channels."""
