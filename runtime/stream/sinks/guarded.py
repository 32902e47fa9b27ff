"""A file under a muxer that stays playable when the disk fills up.

An MP4 muxer lays down one fragment after another (boxes `moof` and `mdat`, ISO/IEC 14496-12
section 8.8). After a failed write nothing more is written, and closing cuts the file behind
the last whole fragment: without that the muxer would still patch the file's head as if its
tail were there. Matroska is read up to a torn end as it is.
"""

import io
from pathlib import Path

_SEEK_END = 2


class GuardedFile:
    """What PyAV needs of a file; a failed write is kept in `error` and ends all writing."""

    def __init__(self, path: Path, *, fragmented: bool, new: bool = False) -> None:
        """Create or empty the file; `fragmented` says that it is an MP4 in fragments.

        Raises:
            FileExistsError: if it is to be a `new` file and there is one.
            OSError: if it cannot be made.
        """
        self._path = path
        self._fragmented = fragmented
        self._file = io.FileIO(path, "x+" if new else "w+")
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        """Write all of `data`, or pretend to after the first failure."""
        view = memoryview(data)
        try:
            # An unbuffered write may take a part; the rest then names the reason.
            while view.nbytes and self.error is None:
                view = view[self._file.write(view) or 0 :]
        except OSError as error:
            self.error = error
        return len(data)

    def read(self, length: int) -> bytes:
        """Read what was written, as PyAV asks of every file."""
        return self._file.read(length) or b""

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move to a position."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Return the position."""
        return self._file.tell()

    def close(self) -> None:
        """Close; after a failure cut the file behind its last whole fragment.

        A file in which nothing is left, or nothing was written, is removed.
        """
        if self._file.closed:
            return
        try:
            whole = self._file.seek(0, _SEEK_END)
            if self.error is not None and self._fragmented and self._path.is_file():
                whole = _end_of_whole_fragments(self._file)
                self._file.truncate(whole)
        finally:
            self._file.close()
        if not whole and self._path.is_file():  # never a device
            self._path.unlink()


def _end_of_whole_fragments(file: io.FileIO) -> int:
    """Return the offset behind the last media box that lies in the file entirely, or 0."""
    total = file.seek(0, _SEEK_END)
    offset = whole = 0
    while offset + 8 <= total:
        file.seek(offset)
        head = file.read(16) or b""
        size, kind = int.from_bytes(head[:4], "big"), head[4:8]
        if size == 1:  # the true size follows in 64 bits
            size = int.from_bytes(head[8:16], "big")
        offset += size
        if size < 8 or offset > total:
            break
        if kind == b"mdat":
            whole = offset
    return whole
