"""ONNX: a graph of standard operations, with loops over time or unrolled."""
