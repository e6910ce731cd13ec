"""FedFIN: one multimodal classifier across hospitals, without moving a record.

This package is what both ends share. It imports neither torch nor onnxruntime.
"""

__version__ = "0.1.0"
