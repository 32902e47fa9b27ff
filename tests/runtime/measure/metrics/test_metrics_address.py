"""What may follow --metrics: a port, with or without a host; nothing else."""

import pytest

from crispstream.core.errors import UsageError
from crispstream.runtime.measure.metrics.address import read_address


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:9464", "127.0.0.1", 9464),
        ("9464", "127.0.0.1", 9464),
        (":9464", "127.0.0.1", 9464),  # not all addresses, as some programs take it
        ("0", "127.0.0.1", 0),
        ("0.0.0.0:9464", "0.0.0.0", 9464),
        ("[::1]:65535", "::1", 65535),
        ("camera-pc.lan:80", "camera-pc.lan", 80),
        (" localhost:1 ", "localhost", 1),
    ],
)
def test_an_address_has_a_port_and_may_have_a_host(text: str, host: str, port: int) -> None:
    address = read_address(text)
    assert (address.host, address.port) == (host, port)


@pytest.mark.parametrize(
    "text",
    [
        "", ":", "localhost", "127.0.0.1:", "127.0.0.1:65536", "-1", "1.5", "+80", "٣", "::1:80",
        "[::1", "[::1:80", "::1", "http://127.0.0.1:9464/metrics", "127.0.0.1:9464/metrics",
        "user@host:80", "a b:80", "[]:80", "host:80:",
    ],
)  # fmt: skip
def test_anything_else_is_told_what_an_address_is(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        read_address(text)
    assert f"--metrics is '{text}'; give HOST:PORT or PORT" in str(refused.value)
    assert "as in 127.0.0.1:9464" in str(refused.value)
