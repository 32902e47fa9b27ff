"""A headless Chromium, steered through its DevTools protocol over two pipes.

    with Browser() as browser:
        page = browser.open("http://127.0.0.1:8080/")
        page.wait_for("document.images.length === 3")
        page.screenshot(tmp_path / "page.png")
        assert page.complaints == []

Pipes (`--remote-debugging-pipe`) need no port and no WebSocket: messages are JSON that ends with
a zero byte. https://chromedevtools.github.io/devtools-protocol/ describes them.
"""

import base64
import contextlib
import fcntl
import itertools
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)
HANG_SECONDS = 60.0


def chromium() -> str | None:
    """Path of an installed Chromium, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None)


def missing() -> str:
    """Why there is no browser to test in; empty where there is one."""
    return "" if chromium() else f"no browser: none of {', '.join(NAMES)} is installed"


class Browser:
    """One Chromium with a profile of its own; closes it, and all it started, at the end."""

    def __init__(self) -> None:
        self._profile = tempfile.TemporaryDirectory(prefix="browser-", ignore_cleanup_errors=True)
        commands, self._commands = _pipe()
        self._answers, answers = _pipe()
        path = chromium()
        assert path is not None, missing()
        # Chromium reads commands from descriptor 3 and writes answers to 4.
        script = f'exec "$@" 3<&{commands} 4>&{answers} {commands}<&- {answers}>&-'
        self._process = subprocess.Popen(
            ["bash", "-c", script, "bash", path, *FLAGS, f"--user-data-dir={self._profile.name}"],
            pass_fds=(commands, answers),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(commands)
        os.close(answers)
        self._numbers = itertools.count(1)
        self._buffer = b""
        self._pages: dict[str, Page] = {}

    def __enter__(self) -> "Browser":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError, AssertionError):
            self.call("Browser.close")
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(5)
        os.close(self._commands)
        os.close(self._answers)
        self._profile.cleanup()

    def open(self, url: str, *, width: int = 1280, height: int = 900, dark: bool = False) -> "Page":
        """Load an address in a new tab of this size in CSS pixels."""
        target = self.call("Target.createTarget", {"url": "about:blank"})["targetId"]
        attached = {"targetId": target, "flatten": True}
        channel = self.call("Target.attachToTarget", attached)["sessionId"]
        page = self._pages[channel] = Page(self, channel)
        for domain in ("Page", "Runtime", "Log", "Network"):
            page.call(f"{domain}.enable")
        page.look(width=width, height=height, dark=dark)
        page.loaded = False  # from here on; the empty page was
        page.call("Page.navigate", {"url": url})
        while not page.loaded:
            self._note(self._message())
        return page

    def call(
        self, method: str, parameters: Mapping[str, Any] | None = None, channel: str = ""
    ) -> dict[str, Any]:
        """Send a command and wait for its answer."""
        number = next(self._numbers)
        command = {"id": number, "method": method, "params": dict(parameters or {})}
        if channel:
            command["sessionId"] = channel
        os.write(self._commands, json.dumps(command).encode() + b"\0")
        while True:
            message = self._message()
            if message.get("id") == number:
                assert "error" not in message, f"{method}: {message['error']}"
                return dict(message["result"])
            self._note(message)

    def _message(self) -> dict[str, Any]:
        """Wait for the next message of any kind."""
        until = time.monotonic() + HANG_SECONDS
        while b"\0" not in self._buffer:
            patience = max(0.0, until - time.monotonic())
            ready, _, _ = select.select([self._answers], [], [], patience)
            assert ready, f"the browser has said nothing for {HANG_SECONDS:g} s"
            data = os.read(self._answers, 1 << 16)
            assert data, "the browser has gone"
            self._buffer += data
        message, _, self._buffer = self._buffer.partition(b"\0")
        return dict(json.loads(message))

    def _note(self, event: Mapping[str, Any]) -> None:
        page = self._pages.get(event.get("sessionId", ""))
        if page is not None:
            page.note(event["method"], event["params"])


def _pipe() -> tuple[int, int]:
    """A pipe whose two descriptors are not among the first ten, which shells shuffle."""
    ends = os.pipe()
    high = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends]
    for end in ends:
        os.close(end)
    return high[0], high[1]


class Page:
    """One tab.

    Attributes:
        loaded: whether the page and all it names is there.
        complaints: errors and warnings of the console, uncaught exceptions included.
        requests: every address it asked for, `data:` ones left out.
    """

    def __init__(self, browser: Browser, channel: str) -> None:
        self.loaded = False
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self._browser = browser
        self._channel = channel

    def call(self, method: str, parameters: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Send a command to this tab and wait for its answer."""
        return self._browser.call(method, parameters, self._channel)

    def look(self, *, width: int, height: int, dark: bool = False, density: float = 1.0) -> None:
        """Set the size of the window in CSS pixels, and whether the user likes it dark."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": density, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", metrics)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", {"features": [scheme]})

    def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression, awaited if it is a promise."""
        asked = {"expression": expression, "returnByValue": True, "awaitPromise": True}
        answer = self.call("Runtime.evaluate", asked)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait_for(self, expression: str) -> Any:
        """Evaluate an expression until it holds; return its value."""
        until = time.monotonic() + HANG_SECONDS
        while not (value := self.evaluate(expression)):
            assert time.monotonic() < until, f"{expression} did not come; {self.complaints}"
            time.sleep(0.02)
        return value

    def press(self, key: str) -> None:
        """Press and release a key, by its name in DOM events: `ArrowLeft`, `Tab`, `f`."""
        codes = {"ArrowLeft": 37, "ArrowRight": 39, "Tab": 9, "Enter": 13, " ": 32}
        text = {"text": key} if len(key) == 1 else {}
        event = {"key": key, "windowsVirtualKeyCode": codes.get(key, ord(key[0].upper())), **text}
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", {"type": kind, **event})

    def drag(self, begin: tuple[float, float], end: tuple[float, float]) -> None:
        """Drag with the mouse from one point to another, in CSS pixels of the window."""
        steps = (("mousePressed", begin), ("mouseMoved", end), ("mouseReleased", end))
        for kind, (x, y) in steps:
            event = {"type": kind, "x": x, "y": y, "button": "left", "clickCount": 1}
            self.call("Input.dispatchMouseEvent", event)

    def screenshot(self, path: Path, *, whole: bool = True) -> None:
        """Save a PNG, of the whole page or of the window."""
        data = self.call("Page.captureScreenshot", {"captureBeyondViewport": whole})["data"]
        path.write_bytes(base64.b64decode(data))

    def note(self, method: str, parameters: Mapping[str, Any]) -> None:
        """Take in an event."""
        if method == "Page.loadEventFired":
            self.loaded = True
        elif method == "Network.requestWillBeSent":
            url = parameters["request"]["url"]
            self.requests += [] if url.startswith("data:") else [url]
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(str(parameters["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and parameters["type"] in ("error", "warning"):
            self.complaints.append(str([part.get("value") for part in parameters["args"]]))
        elif method == "Log.entryAdded" and parameters["entry"]["level"] in ("error", "warning"):
            self.complaints.append(
                f"{parameters['entry']['text']} {parameters['entry'].get('url')}"
            )
