"""Schedules of the learning rate: one file per kind."""
