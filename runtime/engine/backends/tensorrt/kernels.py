"""The kernels that TensorRT-RTX compiled on this device, kept from start to start.

They are code, which the library loads as it is; so their SHA-256 is kept in a file beside them.
"""

import logging
from pathlib import Path
from typing import Any

from crispstream.core.files import sha256_of, write_atomically

_logger = logging.getLogger("crispstream.engine")


def hash_file_of(cache: Path) -> Path:
    """Return the file with the SHA-256 of a kernel cache.

    >>> hash_file_of(Path("edge.cache")).name
    'edge.cache.sha256'
    """
    return cache.with_name(f"{cache.name}.sha256")


class KernelCache:
    """A kernel cache that is in use by the contexts of one engine."""

    def __init__(self, config: Any, path: Path) -> None:  # noqa: ANN401 (untyped library)
        """Read what is there and hand it to a runtime configuration; a failure is a warning."""
        self._path = path
        self._content = b""
        self._native: Any = config.create_runtime_cache()
        self._read()
        if not config.set_runtime_cache(self._native):
            _logger.warning("TensorRT-RTX takes no kernel cache: each start compiles again")
            self._native = None

    def _read(self) -> None:
        try:
            content = self._path.read_bytes()
            is_ours = _kept_hash(self._path) == sha256_of(content)
        except FileNotFoundError:
            return
        except OSError as error:
            _logger.warning("the kernel cache '%s' cannot be read (%s)", self._path, error.strerror)
            return
        if not is_ours:
            _logger.warning(
                "the kernel cache '%s' is not what was written there, by its SHA-256: it is not "
                "used, and made anew",
                self._path,
            )
        elif self._native.deserialize(content):
            self._content = content
        else:
            _logger.info(
                "the kernel cache '%s' is of another GPU or version; made anew", self._path
            )

    def keep(self) -> None:
        """Write what was compiled since it was read; a failure is a warning."""
        content = None if self._native is None else self._native.serialize()
        if content is None or bytes(content) == self._content:
            return
        try:
            write_atomically(self._path, bytes(content))
            # Behind it: cut short in between, the cache has no hash that fits, and is not used.
            write_atomically(hash_file_of(self._path), sha256_of(bytes(content)).encode())
        except OSError as error:
            _logger.warning(
                "the kernel cache '%s' cannot be written (%s): the next start compiles again",
                self._path,
                error.strerror,
            )


def _kept_hash(path: Path) -> str:
    try:
        return hash_file_of(path).read_text(encoding="ascii", errors="replace").strip()
    except FileNotFoundError:
        return ""
