"""Any encoder to a verified, quantized ONNX bundle; a trained model to ONNX."""
