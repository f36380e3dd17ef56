"""Steps of an integer network: records of constants, with the reference computation in numpy.

A step computes arrays ``[N, H, W, C]`` of integers, with channels last. The reference defines the results that the
generated C must equal.
"""
