"""Training: datasets, the training loop, run folders, reports and studies."""
