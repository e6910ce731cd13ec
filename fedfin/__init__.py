"""FedFIN: one multimodal classifier across hospitals, without moving a record.

This package is what both ends share. It imports neither torch nor onnxruntime.
"""

import os

__version__ = "0.1.0"

# onnxruntime 1.32 keeps a device id in the user's cache and sends events of its sessions to its maker, on Linux, too,
# unless this is set before it is imported. Nothing leaves a site that its people have not agreed to.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
