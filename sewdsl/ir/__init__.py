"""Network representation: signals, kinds, ops and nodes, without PyTorch and source text."""
