"""What to say about an address that cannot be read, without what it holds of secrets."""

import errno
import re
import socket
from urllib.parse import urlsplit

import av.error

from crispstream.core.uris import masked

_NO_ROUTE = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN)
_REFUSED_LOGIN = (av.error.HTTPUnauthorizedError, av.error.HTTPForbiddenError)
_NO_PATH = (av.error.HTTPNotFoundError, av.error.HTTPOtherClientError, av.error.HTTPBadRequestError)


def why_not_opened(uri: str, error: Exception, *, timed_out: bool) -> str:
    """Return a sentence about what FFmpeg raised when it opened an address.

    FFmpeg's own words are no use for that: they hold the password, name a time-out "invalid
    data" and an unknown host "input/output error".
    """
    name = masked(uri)
    if isinstance(error, _REFUSED_LOGIN):
        return _login(uri)
    if isinstance(error, _NO_PATH):
        return f"the server has no stream '{name}'; check the path of the address"
    if timed_out or isinstance(error, av.error.ExitError | TimeoutError):
        return f"'{name}' did not answer in time; check the address, and that the camera is on"
    if isinstance(error, ConnectionRefusedError):
        return (
            f"nothing takes connections at '{name}'; check host and port, and that the server runs"
        )
    if isinstance(error, OSError) and error.errno in _NO_ROUTE:
        return f"there is no way to the host of '{name}'; check the address and the network"
    if isinstance(error, OSError) and error.errno == errno.EIO and not _host_is_known(uri):
        return (
            f"no host is known by the name in '{name}'; check its spelling, or give its number"
            f"{_hint_at_login(uri)}"
        )
    return (
        f"'{name}' cannot be read as a stream ({_words(error)}); check the address"
        f"{_hint_at_login(uri)}"
    )


def why_broken(uri: str, error: Exception) -> str:
    """Return a sentence about what FFmpeg raised when it read an open stream."""
    return f"'{masked(uri)}' broke off ({_words(error)}); it is worth another try"


def _hint_at_login(uri: str) -> str:
    """Return what to do about a login in which an address seems to end; nothing for others."""
    login = uri.partition("://")[2].rpartition("@")[0]
    if not re.search("[@/?#]", login):
        return ""
    return ", and in a password write %40 for @, %2F for /, %3F for ? and %23 for #"


def _login(uri: str) -> str:
    name = masked(uri)
    if "@" in urlsplit(uri).netloc:
        return f"the server refused the user name or password of '{name}'; check them"
    return (
        f"the server of '{name}' asks for a user name and a password; write them as "
        "rtsp://user:password@host/path, with %40 for an @ in them and %2F for a /"
    )


def _words(error: Exception) -> str:
    """Return what an error says about itself; its text would hold the address."""
    words = error.strerror if isinstance(error, OSError) else None
    return words or type(error).__name__


def _host_is_known(uri: str) -> bool:
    host = urlsplit(uri).hostname
    try:
        return bool(host) and bool(socket.getaddrinfo(host, None))
    except (OSError, UnicodeError):
        return False
