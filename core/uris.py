"""What may be written down of a source's or sink's address."""

import re


def masked(uri: str) -> str:
    """Return an address without user and password.

    >>> masked("rtsp://admin:secret@10.0.0.7/stream"), masked("clips/a@b.mp4")
    ('rtsp://***@10.0.0.7/stream', 'clips/a@b.mp4')
    """
    return re.sub(r"(?<=://)[^/]*@", "***@", uri)
