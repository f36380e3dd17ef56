"""From a network with a recipe to a trained one: datasets, the training loop, and the folder that a run leaves."""
