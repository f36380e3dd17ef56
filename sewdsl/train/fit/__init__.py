"""What changes weights: the training loop, checkpoints, resuming."""
