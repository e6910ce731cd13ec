"""Frozen encoders: a verified bundle, run by onnxruntime on this machine."""

from edge_client.encoders.encoder import Encoder, open_encoder

__all__ = ["Encoder", "open_encoder"]
