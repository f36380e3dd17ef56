"""Constants of kernels, replaced by the renderer.

Constants of the first group have the values in this file in all kernels. The others differ between kernels, and their
values are examples for linters.
"""

CACHE_LINE_BYTES = 64
"""Size of a cache line of the processor, in bytes."""

STREAMED_BYTES = 1 << 25
"""Bytes from which a sequence is written with non-temporal stores, since caches would not hold it until it is read."""

LANES = 64
"""Bytes in a group of packed values."""

MAX_WHOLE_PERIOD = 4096
"""Largest period of channels, in neurons, for which per-channel values are spread over a whole period."""

APART = 16
"""Elements of padding between the points of Winograd's transform: one cache line, so that the points do not compete for
the same lines of a cache."""

BLOCK = 32
"""Number of tiles whose products are transformed back together, while they are in a near cache."""

SMALL_TILE = 2
"""Height and width of the smaller tiles of Winograd's algorithm."""

SPAN_BITS = 6
"""Binary logarithm of the largest allowed ratio between the largest input of a tile and of a window in it. Above this
ratio, an output is a plain sum: rounding errors are relative to the largest input of a tile."""

# --- constants that differ between kernels

STORED = "float32"
"""Dtype of input and output."""

BITS = 1
"""Bits per packed value: 1, 2, 4 or 8."""

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

ROWS = 4
"""Rows of a matrix that are multiplied together: tiles or channels."""
