"""ResNet-50 and ResNet-101 (He et al., arXiv 1512.03385), with the strides of torchvision: in the 3 x 3 convolution.

Untrained: a multiply-add costs the same whatever it multiplies.
"""

from itertools import pairwise

from torch import Tensor, nn

EXPANSION = 4
WIDTHS = (64, 128, 256, 512)
DEPTHS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
FEATURES = EXPANSION * WIDTHS[-1]
CLASSES = 1000


class ResNet(nn.Module):
    """Images [n, 3, h, w] to a map of features [n, 2048, h / 32, w / 32]."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            *convolution(3, WIDTHS[0], 7, stride=2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, padding=1)
        )
        ends = (WIDTHS[0], *(EXPANSION * width for width in WIDTHS))
        self.stages = nn.Sequential(
            *(
                stage(inputs, outputs // EXPANSION, blocks, stride=1 if place == 0 else 2)
                for place, ((inputs, outputs), blocks) in enumerate(
                    zip(pairwise(ends), DEPTHS[depth], strict=True)
                )
            )
        )

    def forward(self, images: Tensor) -> Tensor:
        """The map of features."""
        features: Tensor = self.stages(self.stem(images))
        return features


class Classifier(nn.Module):
    """A ResNet with the layer after it: images [n, 3, h, w] to [n, outputs]."""

    def __init__(self, depth: int, outputs: int = CLASSES) -> None:
        super().__init__()
        self.body, self.output = ResNet(depth), nn.Linear(FEATURES, outputs)

    def forward(self, images: Tensor) -> Tensor:
        """Logits, of the mean over the map."""
        logits: Tensor = self.output(self.body(images).mean(dim=(2, 3)))
        return logits


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3 and 1 x 1 convolutions beside a shortcut."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = EXPANSION * width
        self.body = nn.Sequential(
            *convolution(inputs, width, 1),
            nn.ReLU(inplace=True),
            *convolution(width, width, 3, stride=stride),
            nn.ReLU(inplace=True),
            *convolution(width, outputs, 1),
        )
        keeps = inputs == outputs and stride == 1
        self.shortcut = (
            nn.Identity() if keeps else nn.Sequential(*convolution(inputs, outputs, 1, stride=stride))
        )

    def forward(self, state: Tensor) -> Tensor:
        """[n, inputs, h, w] to [n, 4 width, h / stride, w / stride]."""
        added: Tensor = self.body(state) + self.shortcut(state)
        return added.relu()


def stage(inputs: int, width: int, blocks: int, stride: int) -> nn.Sequential:
    """Bottlenecks of one width; the first one strides."""
    first = Bottleneck(inputs, width, stride)
    return nn.Sequential(first, *(Bottleneck(EXPANSION * width, width, 1) for _ in range(blocks - 1)))


def convolution(inputs: int, outputs: int, kernel: int, stride: int = 1) -> tuple[nn.Module, nn.Module]:
    """Without bias, normalised by batch."""
    layer = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
    return layer, nn.BatchNorm2d(outputs)
