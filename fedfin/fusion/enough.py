"""Of which labels enough patients have both answers: no part of any answer, but versions carry it."""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fedfin.codec import Shape
from fedfin.model.answer_counts import ENOUGH, Counted


class Enough(nn.Module):
    """As fedfin/model/answer_counts.py describes; buffers, counted and not trained. shapes: `enough_shapes`."""

    def __init__(self, shapes: Mapping[str, Shape]) -> None:
        super().__init__()
        for name, shape in shapes.items():
            self.register_buffer(name.removeprefix(ENOUGH), torch.empty(shape))

    def of(self, task: Counted) -> NDArray[np.bool_]:
        """[scenarios or label moments, labels], or [patterns]."""
        flags: Tensor = self.get_buffer(task)
        return np.asarray(flags.numpy() > 0)
