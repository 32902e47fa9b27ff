"""What may be written down of a source's or sink's address."""

import re

_SECRETS = (
    "(?:user|proxy)-(?:id|pw)|user(?:name)?|login|usr|pass(?:word|wd|phrase)?|pwd|token|secret|"
    "(?:api_?)?key|auth"
)


def masked(uri: str) -> str:
    """Return an address without user, password and keys; paths are returned as they are.

    Rather too much goes than too little: up to the last @ where a password may hold a slash, and
    all that follows the application of an RTMP address, which is where streams' keys stand.

    >>> masked("rtsp://admin:secret@10.0.0.7/stream"), masked("clips/a@b.mp4")
    ('rtsp://***@10.0.0.7/stream', 'clips/a@b.mp4')
    >>> masked("http://10.0.0.7/video?channel=1&pwd=secret"), masked("rtsp://u:a/b@10.0.0.7/x")
    ('http://10.0.0.7/video?channel=1&pwd=***', 'rtsp://***@10.0.0.7/x')
    >>> masked("rtmp://live.example.org/app/secret-key")
    'rtmp://live.example.org/app/***'
    """
    if "://" not in uri and not uri.startswith("gst:"):
        return uri
    return re.sub(r"(?i)^(rtmps?://[^/]*/[^/]+/).+", r"\1***", without_secrets(uri))


def without_secrets(text: str) -> str:
    """Return a text with addresses and settings in it, such as a pipeline, without its secrets.

    >>> without_secrets("rtspsrc location=rtsp://ann:secret@host/a user-pw=secret ! fakesink")
    'rtspsrc location=rtsp://***@host/a user-pw=*** ! fakesink'
    """
    login = r"(?<=://)(?=[^/?#]*[:@]).*@"
    without_login = re.sub(login, "***@", text, count=1, flags=re.DOTALL)
    return re.sub(rf"(?i)(?<![a-z])({_SECRETS})=[^&#;\s]*", r"\1=***", without_login)
