"""Import of NIR graphs and PyTorch modules (see ``docs/exchange.md``)."""
