"""Transforms of training samples, what ``augment`` lists: one file per kind."""
