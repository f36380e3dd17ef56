"""Limits of storage formats and kernels. Importing them does not import PyTorch."""

MAX_BYTE_PLACES = 256
"""Largest number of positions in a pooling window whose index fits in a byte."""

EVENT_CHANNELS = 8
"""Divisor of the channels of event-driven convolutions: the length of a vector in elements."""

MAX_EVENT_KERNEL = 7
"""Largest height and width of the kernel of an event-driven convolution, since its loops over taps are unrolled."""

WINOGRAD_CHANNELS = 8
"""Divisor of the channels of Winograd convolutions."""

WINOGRAD_KERNEL = (3, 3)
"""Height and width of the kernel of Winograd convolutions."""

MAX_16_BIT_PLACES = 1 << 15
"""Largest number of positions in a feature map whose index fits in a signed 16-bit integer."""

MAX_REGISTER_STEPS = 16
"""Largest number of time-steps for which a backward pass on a GPU keeps all membrane potentials in registers. With 32
time-steps, a thread needs 168 registers, and too few threads run concurrently."""

MAX_KERNEL_ENTRIES = 398
"""Largest number of operations in a time-step of equations that has a kernel. Longer ones would take minutes to compile
and run in plain PyTorch."""
