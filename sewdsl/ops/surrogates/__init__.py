"""Surrogates: derivatives that replace the step function's."""
