"""Modules of which operations are built."""

from __future__ import annotations

from torch import nn

from sewdsl.snn import (
    attention,
    batch_norm,
    equations,
    join,
    layers,
    merges,
    neuron,
    parallel_neuron,
    pooling,
    sequence_attention,
    streamed_past,
    time_filters,
    tokens,
)


class Runtime:
    """Namespace of modules, passed to ``Op.build`` so that the vocabulary does not import PyTorch.

    All modules take whole sequences: ``[T, N, C, H, W]``, ``[T, N, C, L]`` or ``[T, N, F]``.
    """

    Conv2d = layers.Conv2d
    Conv1d = layers.Conv1d
    ConvTranspose1d = layers.ConvTranspose1d
    ConvTranspose2d = layers.ConvTranspose2d
    Upsample = layers.Upsample
    Padding = layers.Padding
    Fourier = layers.FourierTransform
    Linear = layers.Linear
    Flatten = layers.Flatten
    Reshape = layers.Reshaping
    Slice = layers.Slicing
    TimeSlice = layers.TimeSlice
    Dropout = layers.Dropout
    StepDropout = layers.StepDropout
    DropPath = layers.DropPath
    Scale = layers.Scale
    ChannelScale = layers.ChannelScale
    BatchNorm = batch_norm.BatchNorm
    LayerNorm = layers.LayerNorm
    GroupNorm = layers.GroupNorm
    RMSNorm = layers.RMSNorm
    MaxPool2d = pooling.MaxPool2d
    AvgPool2d = pooling.AvgPool2d
    MaxPool1d = pooling.MaxPool1d
    AvgPool1d = pooling.AvgPool1d
    GlobalAvgPool = pooling.GlobalAvgPool
    VotingPool = pooling.VotingPool
    ReLU = nn.ReLU
    PReLU = layers.PReLU
    GELU = nn.GELU
    SiLU = nn.SiLU
    Sigmoid = nn.Sigmoid
    Tanh = nn.Tanh
    Identity = nn.Identity
    Neuron = neuron.Neuron
    Delay = streamed_past.Delay
    WithPrevious = streamed_past.WithPrevious
    TimeFilter = time_filters.TimeFilter
    DelayedLinear = time_filters.DelayedLinear
    Equations = equations.Equations
    SpikingEquations = equations.SpikingEquations
    Join = join.Join
    Embedding = tokens.Embedding
    LearnedTokens = tokens.Tokens
    Swap = tokens.Exchange
    Position = tokens.Position
    StepPosition = tokens.StepPosition
    JoinOfMany = merges.JoinOfMany
    Concatenation = merges.Concatenation
    Maximum = merges.Maximum
    Product = merges.Product
    Attention = attention.Attention
    Scores = attention.Scores
    Apply = attention.Apply
    Softmax = attention.Softmax
    Reduction = merges.Reduction
    TimeReduction = merges.TimeReduction
    StepBatchNorm = batch_norm.StepBatchNorm
    StepScaledBatchNorm = batch_norm.StepScaledBatchNorm
    TemporalAttention = sequence_attention.TemporalAttention
    ChannelAttention = sequence_attention.ChannelAttention
    SpatialAttention = sequence_attention.SpatialAttention
    TemporalChannelAttention = sequence_attention.TemporalChannelAttention
    ParallelNeuron = parallel_neuron.ParallelNeuron
    MaskedNeuron = parallel_neuron.MaskedNeuron
    SlidingNeuron = parallel_neuron.SlidingNeuron
