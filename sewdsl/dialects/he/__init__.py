"""Dialect ``he``, named after He et al. 2020: ``MP4-64C3-128C3-AP2-128C3-AP2-256FC-11``."""
