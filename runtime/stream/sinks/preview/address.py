"""Where the page is served, read from `preview://HOST:PORT`."""

import ipaddress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from crispstream.core.errors import UsageError
from crispstream.core.uris import masked

_HOST, _PORT = "127.0.0.1", 8080
_EXAMPLE = f"preview://{_HOST}:{_PORT}"


@dataclass(frozen=True)
class Address:
    """A host and a port to listen on."""

    host: str
    """A name or an IP address, without brackets."""
    port: int
    """0 leaves the choice to the system."""
    number: str = field(default="", repr=False)
    """The IP address that the host stands for; empty where that was not looked up."""

    @classmethod
    def of(cls, uri: str) -> "Address":
        """Read it from a URI; what is left out is 127.0.0.1 and 8080.

        Raises:
            UsageError: if it holds anything but a host and a port.

        >>> Address.of("preview://"), Address.of("preview://[::1]:0")
        (Address(host='127.0.0.1', port=8080), Address(host='::1', port=0))
        """
        parts = urlsplit(uri)
        extra = parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc
        try:
            port = _PORT if parts.port is None else parts.port
        except ValueError:
            port = -1
        host = parts.hostname or _HOST
        if parts.scheme != "preview" or extra or port < 0 or host.isdigit():
            raise UsageError(
                f"'{masked(uri)}' is no address for a preview; give a host and a port from 0 "
                f"(any free one) to 65535, as in {_EXAMPLE}"
            )
        return cls(host, port)

    @property
    def private(self) -> bool:
        """Whether only this machine can reach it, as far as was looked up.

        >>> Address("127.1", 80).private, Address("127.1", 80, "127.0.0.1").private
        (False, True)
        """
        return _is_loopback(self.number or self.host)

    @property
    def url(self) -> str:
        """For a browser.

        >>> Address("::1", 80).url
        'http://[::1]:80/'
        """
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}/"

    def admits(self, host_header: str) -> bool:
        """Whether a request that says it is for this host may be answered.

        A page of the open web may let its own name point here ("DNS rebinding") and would then
        see the camera; its requests still say that name. So they have to say a loopback address,
        or the name that the page was started with. Where the page is served to other machines,
        their names for this one are not known, and all are admitted.

        >>> Address("127.0.0.1", 80).admits("localhost:8080")
        True
        >>> Address("127.0.0.1", 80).admits("evil.example:80")
        False
        >>> Address("hall.lan", 80, "127.0.1.1").admits("Hall.lan:80")
        True
        """
        if not self.private:
            return True
        try:
            host = urlsplit(f"//{host_header}").hostname or ""
        except ValueError:
            return False
        return host in (self.host, "localhost") or _is_loopback(host)


def _is_loopback(host: str) -> bool:
    try:
        number = ipaddress.ip_address(host.partition("%")[0])  # behind it is an interface
    except ValueError:
        return False
    return (getattr(number, "ipv4_mapped", None) or number).is_loopback
