"""Losses: one file per kind."""
