"""Training loop, checkpoints and resuming."""
