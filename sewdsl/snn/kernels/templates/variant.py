"""Constants that differ between kernels, replaced by the renderer.

The values in this file are examples for readers and linters.
"""

STORED = "float32"
"""Dtype of input and spikes."""

CACHE_LINE_ELEMENTS = 16
"""Number of stored elements per cache line."""

STREAMED_ELEMENTS = 1 << 23
"""Number of stored elements from which a sequence is written with non-temporal stores."""

STREAMED_LANES = 8
"""Number of stored elements per non-temporal store."""

BITS = 1
"""Bits per packed value: 1, 2, 4 or 8."""

LANES = 64
"""Bytes in a group of packed values."""

MAX_WHOLE_PERIOD = 4096
"""Largest period of channels, in neurons, over which values are spread as a whole."""

WINDOWS_OVERLAP = True
"""Whether windows of max pooling overlap."""

COUNTS = False
"""Whether the inputs of a convolution may have values other than 0 and 1."""

KERNEL_ROWS = 3
"""Height of a convolution's kernel."""

KERNEL_COLUMNS = 3
"""Width of a convolution's kernel."""

MASK_LANES = 32
"""Number of inputs compared together: a power of 2, at most 64, that divides the channels."""

VECTOR = 8
"""Elements per vector."""

VECTORS = 4
"""Vectors of output channels that are accumulated together in registers."""

TILE = 4
"""Height and width of a tile of outputs of Winograd's algorithm: 2 or 4."""

SMALL_TILE = False
"""Whether TILE is 2."""

SPAN_BITS = 6
"""Binary logarithm of the largest allowed ratio between the largest inputs of a tile and of a window in it."""

APART = 16
"""Elements of padding between the points of Winograd's transform."""

BLOCK = 32
"""Tiles whose products are transformed back together."""

ROWS = 4
"""Rows of a matrix that are multiplied together: tiles or channels."""
