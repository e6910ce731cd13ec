"""Any encoder to a verified, quantized ONNX bundle; a trained model to ONNX."""

import fedfin  # noqa: F401 - it sets what onnxruntime heeds when it is imported
