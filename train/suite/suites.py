"""The suites there are, by name, and what each promises."""

from collections.abc import Mapping
from dataclasses import dataclass

from crispstream.core.files import sha256_of
from crispstream.core.registry import Registry

from .pieces import Piece


@dataclass(frozen=True)
class Suite:
    """A benchmark: fixed. What changes gets another name."""

    name: str
    pieces: tuple[Piece, ...]
    sources: Mapping[str, str]
    """Path below the media folder -> SHA-256 of the file."""
    published: Mapping[str, str]
    """Part -> SHA-256 of its pictures, see `reading.digest`; figures of equal ones compare."""

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the parts, in the order of their pieces."""
        return tuple(dict.fromkeys(piece.name.split("/")[0] for piece in self.pieces))

    def of(self, part: str) -> tuple[Piece, ...]:
        """Return the pieces of a part."""
        return tuple(piece for piece in self.pieces if piece.name.split("/")[0] == part)

    def fingerprint(self) -> str:
        """Return what changes with any number of any piece: 16 hexadecimal digits."""
        text = "\n".join([*map(repr, self.pieces), *map(repr, sorted(self.sources.items()))])
        return sha256_of(text.encode())[:16]


SUITES: Registry[Suite] = Registry("suite")


@SUITES.register("crisp-v1")
def _crisp_v1() -> Suite:
    from .crisp_v1 import crisp_v1

    return crisp_v1()
