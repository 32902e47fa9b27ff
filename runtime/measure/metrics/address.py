"""Where metrics are served, read from what follows `--metrics`."""

import errno
import socket

from crispstream.core.errors import UsageError
from crispstream.runtime.stream.sinks.preview.address import Address

HOST = "127.0.0.1"
"""Where no host is named: who else may know what cameras see is for the user to say."""
_MOST_PORT = 65_535


def read_address(text: str) -> Address:
    """Read `HOST:PORT`, `:PORT` or `PORT`; without a host it is this machine's own, 127.0.0.1.

    >>> read_address("0.0.0.0:9464"), read_address(":9464").host, read_address("[::1]:0").host
    (Address(host='0.0.0.0', port=9464), '127.0.0.1', '::1')

    Raises:
        UsageError: if it is nothing of the kind.
    """
    host, _, port = text.strip().rpartition(":")
    if host.startswith("[") and host.endswith("]") and ":" in host:
        host = host[1:-1]
    elif ":" in host:  # an IPv6 address without brackets, or a URL
        port = ""
    number = int(port) if port.isascii() and port.isdecimal() else -1
    if not 0 <= number <= _MOST_PORT or any(mark in host for mark in "/@?[] "):
        raise UsageError(
            f"--metrics is '{text}'; give HOST:PORT or PORT, with a port from 0 (any free one) to "
            f"{_MOST_PORT}, as in {HOST}:9464 or [::1]:9464"
        )
    return Address(host or HOST, number)


def resolved(address: Address) -> tuple[socket.AddressFamily, str]:
    """Return the family and the IP address that a host stands for.

    Raises:
        UsageError: if this machine knows no such host.
    """
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise UsageError(
            f"--metrics: this machine knows no host '{address.host}'; give {HOST} for this machine "
            "only, or one of its own addresses"
        ) from error
    family, _, _, _, where = found[0]
    return family, str(where[0])


def cannot_listen(address: Address, error: OSError) -> UsageError:
    """Return the error for an address that the system refused, with what to do about it."""
    at = f"--metrics: port {address.port} of {address.host}"
    if isinstance(error, PermissionError):
        return UsageError(
            f"{at} needs rights that this process does not have; give a port from 1024 on"
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return UsageError(
            f"--metrics: '{address.host}' is no address of this machine; give {HOST}, or one that "
            "it has"
        )
    return UsageError(
        f"{at} cannot be listened on ({error.strerror}); give another port, or 0 for any free one"
    )
