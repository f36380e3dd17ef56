"""What the runtime's storage formats hold; without torch, so that a plan can be made before anything runs."""

MAX_BYTE_PLACES = 256
"""Places of a pooling window that a byte tells apart."""

MAX_16_BIT_PLACES = 1 << 15
"""Places of a map that an integer of 16 bits tells apart."""
