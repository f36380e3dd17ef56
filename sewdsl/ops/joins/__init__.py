"""Joins: element-wise functions g of a branch and an identity."""
