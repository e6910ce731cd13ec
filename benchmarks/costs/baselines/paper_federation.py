"""The federation of the paper (Poudel et al., arXiv 2505.20232), in the set-up that it takes from CAR-MFL.

ResNet-50 and BERT-base train at every site and are sent every round, with projections to 256 features, the paper's
FIN, a transformer decoder of 4 heads and 6 layers over the 256 features, and a linear classifier of 14 labels
(docs/paper.md says what of this is told where).
"""

import torch
from torch import Tensor, nn

from benchmarks.costs.baselines.bert import WIDTH as BERT_WIDTH
from benchmarks.costs.baselines.bert import Bert
from benchmarks.costs.baselines.resnet import Classifier
from fedfin.fusion.fin import DecoderFin
from fedfin.plan_sections import Model

SHARED, LABELS, PIXELS, WORDS = 256, 14, 224, 128
FIN = Model(fin="decoder", fin_width=SHARED, fin_layers=6, fin_heads=4)
ROUNDS, EPOCHS, BATCH = 30, 3, 48  # of CAR-MFL's code


class PaperModel(nn.Module):
    """All that a site of the paper trains and sends."""

    def __init__(self) -> None:
        super().__init__()
        self.image, self.text = Classifier(50, SHARED), Bert()
        self.project = nn.Linear(BERT_WIDTH, SHARED)
        self.fin = DecoderFin({"image": SHARED, "text": SHARED}, FIN)
        self.classifier = nn.Linear(2 * SHARED, LABELS)
        for parameter in self.fin.parameters():
            nn.init.normal_(parameter, std=0.02)

    def forward(self, images: Tensor, words: Tensor) -> Tensor:
        """Images [n, 3, 224, 224] and word numbers [n, words] to logits [n, 14], the text's features imputed too."""
        features = {"image": self.image(images), "text": self.project(self.text(words))}
        shown = {m: torch.ones(len(values), dtype=torch.bool) for m, values in features.items()}
        imputed = self.fin(features, shown)
        both = torch.cat([features["image"], features["text"] + imputed["text"]], dim=1)
        logits: Tensor = self.classifier(both)
        return logits
