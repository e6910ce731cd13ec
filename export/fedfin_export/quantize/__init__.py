"""From a float encoder to a verified int8 graph: ONNX, calibration, quantization, parity."""
