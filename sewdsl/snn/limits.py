"""What the runtime's storage formats hold; without torch, so that a plan can be made before anything runs."""

MAX_BYTE_PLACES = 256
"""Places of a pooling window that a byte tells apart."""

EVENT_CHANNELS = 8
"""Input and output channels are a multiple of this where a convolution is computed by events: a vector of numbers."""

MAX_EVENT_KERNEL = 7
"""Height and width up to which it is so: all taps of a kernel are written out."""

WINOGRAD_CHANNELS = 8
"""Input and output channels are a multiple of this where a convolution is computed by Winograd's algorithm."""

WINOGRAD_KERNEL = (3, 3)
"""Height and width of the kernels for which it is so."""

MAX_16_BIT_PLACES = 1 << 15
"""Places of a map that an integer of 16 bits tells apart."""

MAX_REGISTER_STEPS = 16
"""Up to so many time-steps, a backward pass on a GPU keeps all potentials in registers: with 32 of them, a thread needs
168 registers, and too few threads run at once."""

MAX_KERNEL_ENTRIES = 398
"""Longest time-step of neurons as equations that has a kernel, in results. PyTorch runs longer ones, which would take
minutes to compile."""
