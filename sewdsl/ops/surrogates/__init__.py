"""Surrogates: derivatives that stand for the step function's."""
