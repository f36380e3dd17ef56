"""Runs that commands train draw no curve that was drawn before."""

from tests.train.conftest import curves, figures_matter

__all__ = ["curves", "figures_matter"]
