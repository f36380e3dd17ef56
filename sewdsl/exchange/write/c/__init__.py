"""Export of integer networks as one C99 file, which needs no library and allocates no memory."""
