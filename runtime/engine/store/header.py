"""What an engine file says of itself: the version of TensorRT-RTX that built it."""

# Seen in engines of TensorRT-RTX 1.7, not documented: a mark, and the version in four bytes.
_RTX_MARK, _VERSION_AT, _VERSION_BYTES = b"vtrt", 24, 4


def rtx_version(header: bytes) -> str:
    """Return the version in the header of a TensorRT-RTX engine, "" for any other file.

    >>> rtx_version(b"vtrt" + bytes(20) + bytes([1, 7, 1, 116]))
    '1.7.1.116'
    """
    version = header[_VERSION_AT : _VERSION_AT + _VERSION_BYTES]
    if header[: len(_RTX_MARK)] != _RTX_MARK or len(version) < _VERSION_BYTES:
        return ""
    return ".".join(map(str, version))
