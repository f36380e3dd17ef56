"""What a neuron's equations become: a tape of operations, its normal form, ranges and gradient; without torch."""
