"""Models of other libraries as networks of ours: graphs of NIR, and modules of torch; see ``docs/exchange.md``."""
