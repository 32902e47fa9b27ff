"""GFN's ablations: the same modules, joined in other ways.

Table 2 of Zhang et al., BMVC 2018, says what each model lacks; the wiring of Model-1 to Model-3
is in a supplement that is not public, so theirs is ours.

    Model-1   deblur, then enlarge: one branch, joined by the LR image
    Model-2   enlarge, then deblur at HR: one branch, joined by the HR image
    Model-3   two branches, joined by their HR images
    Model-4   two branches, joined by features, no gate; trained without the deblurring loss
    Model-5   the same, trained with it

Shape letters: B batch, C channels, H height, W width of the LR frame.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from .gfn import SLOPE, WIDTH, Deblurring, Gfn, SrResNet, activation, convolution, initialise
from .registry import MODELS, NO_MAPS, Outputs
from .upscale import BicubicX4


class DeblurFirst(nn.Module):
    """Model-1: BGR [B,3,H,W] -> sharp lr [B,3,H,W] -> hr [B,3,4H,4W]."""

    size_multiple = 4
    halo_px = 101 + 38  # deblurring branch with its image, SRResNet
    output_conv = "enlarge.reconstruct.enlarge.image"

    def __init__(self) -> None:
        """Build both modules at GFN's width."""
        super().__init__()
        self.deblur = Deblurring(WIDTH)
        self.enlarge = SrResNet(WIDTH)
        initialise(self)

    def forward(self, x_bchw: Tensor, maps: Mapping[str, Tensor] = NO_MAPS) -> Outputs:
        """Restore a batch of frames; `maps` are not used."""
        sharp = self.deblur(x_bchw).sharp()
        return Outputs(self.enlarge(sharp).hr, sharp)


class EnlargeFirst(nn.Module):
    """Model-2: BGR [B,3,H,W] -> enlarged "sr" in `maps` [B,3,4H,4W] -> hr of that size.

    The deblurring runs at HR size: seven times GFN's work.
    """

    size_multiple = 1
    halo_px = 38 + 26  # SRResNet, and the deblurring branch's 101 at HR size
    output_conv = "deblur.image.2"

    def __init__(self) -> None:
        """Build both modules at GFN's width."""
        super().__init__()
        self.enlarge = SrResNet(WIDTH)
        self.deblur = Deblurring(WIDTH)
        initialise(self)

    def forward(self, x_bchw: Tensor, maps: Mapping[str, Tensor] = NO_MAPS) -> Outputs:
        """Restore a batch of frames; `maps` are not used."""
        enlarged = self.enlarge(x_bchw).restored()
        return Outputs(self.deblur(enlarged).sharp(), maps={"sr": enlarged})


class FusedImages(nn.Module):
    """Model-3: BGR [B,3,H,W] -> sharp lr [B,3,H,W], and hr [B,3,4H,4W] of both branches.

    The sharp LR image is enlarged bicubically and joined to the other branch's by two
    convolutions at HR size.
    """

    size_multiple = 4
    halo_px = 101 + 3  # deblurring branch with its image, then bicubic and 2 HR pixels of fusion
    output_conv = "fuse.2"

    def __init__(self) -> None:
        """Build both branches at GFN's width."""
        super().__init__()
        self.deblur = Deblurring(WIDTH)
        self.enlarge = SrResNet(WIDTH)
        self.bicubic = BicubicX4()
        self.fuse = nn.Sequential(convolution(6, WIDTH), activation(SLOPE), convolution(WIDTH, 3))
        initialise(self)

    def forward(self, x_bchw: Tensor, maps: Mapping[str, Tensor] = NO_MAPS) -> Outputs:
        """Restore a batch of frames; `maps` are not used."""
        sharp = self.deblur(x_bchw).sharp()
        both = torch.cat([self.bicubic(sharp), self.enlarge(x_bchw).restored()], dim=1)
        return Outputs(self.fuse(both), sharp)


@MODELS.register("gfn-model-1")
def gfn_model_1() -> DeblurFirst:
    """Return the chain that deblurs first: 245 GMAC for 320x180."""
    return DeblurFirst()


@MODELS.register("gfn-model-2")
def gfn_model_2() -> EnlargeFirst:
    """Return the chain that enlarges first: 1695 GMAC for 320x180."""
    return EnlargeFirst()


@MODELS.register("gfn-model-3")
def gfn_model_3() -> FusedImages:
    """Return the two branches that meet as images: 250 GMAC for 320x180."""
    return FusedImages()


@MODELS.register("gfn-model-4")
def gfn_model_4() -> Gfn:
    """Return ungated GFN; what makes it Model-4 is a loss without its LR part."""
    return Gfn(gate_steps=0)


@MODELS.register("gfn-model-5")
def gfn_model_5() -> Gfn:
    """Return ungated GFN; what makes it Model-5 is a loss with its LR part."""
    return Gfn(gate_steps=0)
