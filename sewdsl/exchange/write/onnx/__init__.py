"""Export as an ONNX graph of standard operations, with loops over time or unrolled."""
