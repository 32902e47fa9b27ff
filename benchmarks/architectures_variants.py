"""The candidates of the search by the names that its log uses.

A to J change one thing each of the first edge-s or weigh depth against width; K to M are about the
base, the bound and the stride; P are about the cost of edge-s, N about that of edge-n.
"""

from dataclasses import replace

from benchmarks.architectures_network import Shape

_FIRST = Shape()
_WIDE = Shape(lr=16, half=64, quarter=64, sharpen=0, encode=1, bottom=2, decode=2, post=1)
_NARROW = Shape(lr=16, half=32, quarter=32, sharpen=0, encode=0, bottom=2, decode=1)

VARIANTS: dict[str, Shape] = {
    "A": _FIRST,
    "B": replace(_FIRST, rep=False),
    "C": replace(_FIRST, gate=False),
    "D": replace(_FIRST, tail=1, post=1),
    "E": replace(_FIRST, sharpen=0, post=1),
    "F": Shape(lr=24, half=48, quarter=64, sharpen=0, encode=1, bottom=3, decode=2, post=1),
    "G": Shape(24, 64, 64, sharpen=0, encode=1, bottom=2, decode=2, post=1, tail=1),
    "H": Shape(24, 32, 64, sharpen=1, encode=3, bottom=6, decode=3, post=1),
    "I": replace(_FIRST, base="bicubic"),
    "J": replace(_FIRST, base="nearest"),
    "K": replace(_FIRST, bound=0.25),
    "L": replace(_FIRST, head="unshuffle"),
    "M": replace(_FIRST, quarter=0, encode=4, decode=4),
    "P1": Shape(16, 64, 96, sharpen=0, encode=1, bottom=3, decode=1, post=1),
    "P2": Shape(32, 48, 64, sharpen=0, encode=1, bottom=3, decode=1, post=1),
    "P3": Shape(16, 48, 96, sharpen=0, encode=1, bottom=3, decode=2, post=1),
    "P4": _WIDE,
    "P5": replace(_WIDE, up="shuffle", gate=False),
    "P6": Shape(16, 48, 64, sharpen=0, encode=1, bottom=3, decode=2, post=3),
    "P7": Shape(32, 32, 64, sharpen=0, encode=1, bottom=6, decode=1, post=1),
    "N0": _NARROW,
    "N1": replace(_NARROW, post=1, tail=1),
    "N2": Shape(16, 32, 48, sharpen=0, encode=0, bottom=3, decode=1, post=1, tail=1),
}
