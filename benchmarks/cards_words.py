"""What the model cards say that no figure says: use, limits, and what was seen by eye.

What was seen holds for the weights it was seen of: they are named by their hash, and a card of
other weights says that nobody has looked yet.
"""

from typing import NamedTuple


class Words(NamedTuple):
    """The hand-written parts of one card."""

    what: str
    """The sentence that follows the title."""
    use: str
    limits: tuple[str, ...]


class Seen(NamedTuple):
    """What somebody saw on a contact sheet."""

    sha256: str
    """Of the weights, its first twelve digits."""
    text: str


_FRAMES = (
    "BGR bytes [H,W,3] in, [4H,4W,3] out, any size. ONNX Runtime on the CPU runs int8-cpu.onnx, "
    "TensorRT and TensorRT-RTX fp16.onnx; int8.onnx is for devices on which it is measured to be "
    "faster."
)
_MADE_FOR = (
    "Made for hand-held and vehicle cameras whose exposure smears a few low-resolution pixels "
    "(up to 8)."
)
_LIMITS = (
    "Smears longer than the network's view, fast objects before a still background and missed "
    "focus are hardly improved.",
    "It adds no detail that the frame does not hold. Faces and text become clearer where they "
    "could be guessed before, and are not to be trusted beyond that: do not use a restored frame "
    "as evidence of who somebody is or what was written.",
    "Figures are of single sources with their own blur, not of your camera: judge on your own "
    "footage, and fine-tune if it is far from these.",
)
_ALONE = "Each frame is restored on its own; nothing keeps a restored video steady in time."

WORDS = {
    "edge-n": Words(
        "Joint motion deblurring and 4x super-resolution of single frames; the smallest of the "
        "family, for two CPU cores and small boards.",
        f"{_FRAMES} {_MADE_FOR}",
        (*_LIMITS, _ALONE),
    ),
    "edge-s": Words(
        "Joint motion deblurring and 4x super-resolution of single frames; the middle of the "
        "family, and the one to begin with.",
        f"{_FRAMES} {_MADE_FOR}",
        (*_LIMITS, _ALONE),
    ),
    "edge-m": Words(
        "Joint motion deblurring and 4x super-resolution of single frames; the largest of the "
        "family, for a GPU.",
        f"{_FRAMES} {_MADE_FOR}",
        (*_LIMITS, _ALONE),
    ),
    "edge-s-r": Words(
        "Joint motion deblurring and 4x super-resolution of streams: edge-s with a memory of the "
        "frames before.",
        f"{_FRAMES} Frames are given in their order; at a scene cut the memory is emptied, which "
        f"the runtime does by itself. {_MADE_FOR}",
        (*_LIMITS, "The first frame of a stream and after a cut is restored without any memory."),
    ),
}

SEEN = {
    "edge-n": Seen(
        "e2a018b62651",
        "Edges become crisper throughout. Of FUNNY on a shirt the first letters can be made out, "
        "STREETART is nearly readable and COOKBOOK is not. The face is clear at 8 px, with eyes "
        "and teeth of its own, and still soft at 16; nothing is made up. Noise in the dark stays "
        "as mottled colour, blocks of H.264 are sharpened with the rest. A smear of 15 frames "
        "becomes edges beside their ghosts, what was enlarged before stays as it is. A white shoe "
        "that comes near gets an outline that the truth does not have, and the eye of a cat, soft "
        "already, is made a little harder than it is.",
    ),
    "edge-s": Seen(
        "38ab74eac9e0",
        "As edge-n, with cleaner outlines and less noise left in the dark. FUNNY can be read, "
        "STREETART nearly, COOKBOOK cannot. Both faces look like the person; at 16 px the eyes "
        "are smooth. People under a smear of 15 frames get heads and arms again, beside the "
        "remains of the smear. It trusts edges too much where a scene is soft by nature: the eye "
        "of a cat is visibly harder than the truth, the edge of an overexposed shirt near the "
        "camera is drawn where the truth has none.",
    ),
}
