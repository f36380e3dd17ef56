"""Neurons over time: one plain kernel that all others are measured against."""
