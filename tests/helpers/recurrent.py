"""A tiny recurrent edge network whose weights use its memory, trained nowhere, and its bundle."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from crispstream.core.bundle import Bundle, StateTensor
from crispstream.core.pixels import round_to_bytes
from crispstream.export.card import facts
from crispstream.export.exporter import export_bundle
from crispstream.train.checkpoint import Checkpoint
from crispstream.train.models.base import base_subpixels
from crispstream.train.models.edge import Edge, EdgeShape
from crispstream.train.recipes.recipe import Recipe

from .pictures import soft_picture

Pixels = npt.NDArray[np.uint8]

SHAPE = EdgeShape(16, 16, 16, encode=0, bottom=1, decode=1, refine=0)
SHEET = b"\xff\xd8\xff, a made-up contact sheet"
CHECKED_ON = [("one", soft_picture(3, 24, 32)), ("two", soft_picture(4, 24, 32))]


class Remembering(Edge):
    """The smallest edge network that carries something: 8 channels at half of LR size, 0 to 6."""

    def __init__(self) -> None:
        super().__init__(SHAPE)
        self.halo_px = 0
        self.states = (StateTensor("memory", 8, 2),)
        self.recall = nn.Conv2d(8, 16, 3, padding=1, bias=False)
        self.remember = nn.Conv2d(16, 8, 3, padding=1)

    def step(self, x_bchw: Tensor, memory_bchw: Tensor) -> tuple[Tensor, Tensor]:
        features = functional.relu(self.head(x_bchw))
        fine = functional.relu(self.down_half(features) + self.recall(memory_bchw))
        context = self.context(self.encode(fine))
        return self.joined(features, context), self.remember(context).clamp(0, 6)


def tiny_recurrent(seed: int = 0) -> Remembering:
    """The network, whose memory moves its frames by several grey levels."""
    torch.manual_seed(seed)
    network = Remembering().eval()
    with torch.no_grad():
        for conv in network.modules():
            if isinstance(conv, nn.Conv2d) and conv is not network.tail:
                nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
        network.recall.weight.normal_(0, 0.05)  # small: a memory must fade, not grow
        network.remember.bias.fill_(0.2)
        network.tail.weight.mul_(20)
    return network


def write_recurrent_network(folder: Path, network: Remembering) -> Bundle:
    """Export the network, which no registry knows, as the bundle `tiny-r` with a contact sheet."""

    class Trained(Checkpoint):
        """A checkpoint of weights that are in place already."""

        def network(self) -> Remembering:
            return network

    checkpoint = Trained(Recipe("edge-s", steps=1), {}, 1, ("a.png",))
    return export_bundle(
        checkpoint,
        folder,
        name="tiny-r",
        licence="CC-BY-4.0",
        card=facts(checkpoint),
        frames=CHECKED_ON,
        contact_sheet=SHEET,
    )


def stepped(network: Remembering, frames: list[Pixels]) -> list[Pixels]:
    """What PyTorch makes of frames that follow each other, by the network's own `step`."""
    images = [torch.from_numpy(frame).permute(2, 0, 1)[None].float() / 255 for frame in frames]
    height, width, _ = frames[0].shape
    memory = torch.zeros(1, 8, height // 2, width // 2)
    made = []
    for x_bchw in images:
        with torch.inference_mode():
            residual, memory = network.step(x_bchw, memory)
            subpixels = residual + base_subpixels(x_bchw, network.base)
            image = functional.pixel_shuffle(subpixels, 4)[0].permute(1, 2, 0)
        made.append(round_to_bytes(image.numpy() * 255))
    return made


def clip(frames: int = 5, height: int = 24, width: int = 32) -> list[Pixels]:
    """Frames of a scene that moves a pixel to the left with each."""
    wide = soft_picture(9, height, width + frames)
    return [np.ascontiguousarray(wide[:, n : n + width]) for n in range(frames)]
