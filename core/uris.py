"""What may be written down of a source's or sink's address."""

import re

_WORDS = (
    "(?:user|proxy)-(?:id|pw)|user(?:name)?|login(?:use|pas)?|usr|pass|pw|psk|key|sig|auth|jwt|"
    "streamid|extra-headers|cookies?|authorization"
)
_ENDINGS = "passw(?:or)?d|passphrase|pwd|token|secret|credentials?|signature|api_?key"
_NAME = re.compile(rf"(?i)(?:(?<![a-z])(?:{_WORDS})|{_ENDINGS})\s*=\s*")
"""What stands before a secret: a whole word, or the end of one, as of accessToken."""

# A secret may be quoted, with blanks in it, in whole or in part. Within quotes that began before
# its name it ends where they do; a quote that does not end takes all.
_WHOLE = r""""(?:\\.|[^"\\])*"|'[^']*'"""
_QUOTED = re.compile(_WHOLE, re.DOTALL)
_VALUES = {
    "": re.compile(rf"""(?:{_WHOLE}|["'].*|\\.|[^&\s"'\\])*""", re.DOTALL),
    '"': re.compile(r'(?:\\.|[^"\\])*', re.DOTALL),
    "'": re.compile("[^']*"),
}


def masked(uri: str) -> str:
    """Return an address without user, password and keys; paths are returned as they are.

    Rather too much goes than too little: up to the last @ where a password may hold a slash, all
    that follows the application of an RTMP address, which is where streams' keys stand, and the
    whole stream id of an SRT address, which may hold a login in any form.

    >>> masked("rtsp://admin:secret@10.0.0.7/stream"), masked("clips/a@b.mp4")
    ('rtsp://***@10.0.0.7/stream', 'clips/a@b.mp4')
    >>> masked("http://10.0.0.7/video?channel=1&pwd=secret"), masked("rtsp://u:a/b@10.0.0.7/x")
    ('http://10.0.0.7/video?channel=1&pwd=***', 'rtsp://***@10.0.0.7/x')
    >>> masked("rtmp://live.example.org/app/secret-key")
    'rtmp://live.example.org/app/***'
    >>> masked("srt://10.0.0.7:8890?streamid=#!::u=bob,s=secret&latency=200")
    'srt://10.0.0.7:8890?streamid=***&latency=200'
    """
    if "://" not in uri and not uri.startswith("gst:"):
        return uri
    return re.sub(r"(?is)^(rtmps?://[^/]*/[^/]+/).+", r"\1***", without_secrets(uri))


def without_secrets(text: str) -> str:
    """Return a text with addresses and settings in it, such as a pipeline, without its secrets.

    >>> without_secrets("rtspsrc location=rtsp://ann:secret@host/a user-pw=secret ! fakesink")
    'rtspsrc location=rtsp://***@host/a user-pw=*** ! fakesink'
    >>> without_secrets('''rtspsrc user-pw = "my secret" 'user-id=ann b' ! fakesink''')
    "rtspsrc user-pw = *** 'user-id=***' ! fakesink"
    """
    login = r"(?<=://)(?=[^/?#]*[:@]).*@"
    text = re.sub(login, "***@", text, count=1, flags=re.DOTALL)
    shown, begin = "", 0
    while name := _NAME.search(text, begin):
        shown += f"{text[begin : name.end()]}***"
        value = _VALUES[_open_quote(text[: name.start()])].match(text, name.end())
        begin = value.end() if value else name.end()
    return shown + text[begin:]


def _open_quote(text: str) -> str:
    """Return the quote that has begun in a text and not ended, or nothing."""
    left = re.search("[\"']", _QUOTED.sub("", text))
    return left[0] if left else ""
