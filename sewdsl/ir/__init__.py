"""What a network is: signals, kinds, operations, nodes; no torch, no text."""
