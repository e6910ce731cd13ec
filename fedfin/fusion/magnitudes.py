"""How large sites' changes of each tensor are: no part of any answer, but versions carry it."""

import torch
from torch import nn


class Magnitudes(nn.Module):
    """As fedfin/secure_sums/quantizer.py describes; a buffer, measured and not trained."""

    def __init__(self, tensors: int) -> None:
        super().__init__()
        self.register_buffer("magnitudes", torch.empty(2, tensors))
