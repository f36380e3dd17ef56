"""The command line: one module per command, put together in :mod:`sewdsl.cli.app`."""
