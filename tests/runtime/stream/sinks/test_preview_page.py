"""The preview's page in a real browser: what it draws, how it is used, and what it says."""

import re
import threading
from fractions import Fraction

import numpy as np
import pytest

from crispstream.runtime.frame import Frame
from crispstream.runtime.stream.health import Health
from crispstream.runtime.stream.ledger import Ledger
from crispstream.runtime.stream.sinks.preview.preview import PreviewSink
from tests.helpers.browser import Browser, Page, missing

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(missing()), reason=missing())]

DARK, BRIGHT = 40, 215
NOTICE = "document.getElementById('notice').textContent"
WORDS = "document.getElementById('{}').textContent"


class FakeRun:
    """Writes dark frames restored to bright ones, from a thread, as an outlet does."""

    def __init__(self) -> None:
        self.health = Health("rtsp://***@10.0.0.7/hall")
        self.ledger = Ledger(self.health, budget_ms=50.0)
        self.sink = PreviewSink("preview://127.0.0.1:0", self.ledger)
        self.paused, self._stopped = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._write)
        self.health.enter("live")
        self._thread.start()

    def _write(self) -> None:
        input_hwc = np.full((90, 160, 3), DARK, np.uint8)
        restored_hwc = np.full((360, 640, 3), BRIGHT, np.uint8)
        serial = 0
        while not self._stopped.wait(0.02):
            if self.paused.is_set():
                continue
            self.ledger.capture()
            self.ledger.restore(12_500_000, "edge-n int8-cpu")
            self.sink.write(Frame(input_hwc, serial, serial, Fraction(1, 50), 0), restored_hwc)
            serial += 1

    def end(self) -> None:
        self._stopped.set()
        self._thread.join()
        self.sink.close()


@pytest.fixture(scope="module")
def browser():
    with Browser() as opened:
        yield opened


@pytest.fixture
def run():
    running = FakeRun()
    yield running
    running.end()


@pytest.fixture
def page(browser, run) -> Page:
    opened = browser.open(run.sink.address.url)
    opened.wait_for("Number(document.documentElement.dataset.frames) > 2")
    return opened


def edge(page: Page) -> float:
    """Where the drawn picture goes from dark to bright, as a share of its width."""
    row = (
        "(() => { const c = document.getElementById('picture'); const d = c.getContext('2d')"
        ".getImageData(0, c.height / 2, c.width, 1).data; return d.filter((_, i) => i % 4 == 0)"
        ".reduce((n, v) => n + (v < 128), 0) / c.width; })()"
    )
    return float(page.evaluate(row))


def test_input_is_left_of_the_line_and_restored_right_of_it(page) -> None:
    assert edge(page) == pytest.approx(0.5, abs=0.01)
    assert page.evaluate(WORDS.format("before-size")) == "160\u00d790"
    assert page.evaluate(WORDS.format("after-size")) == "640\u00d7360"


def test_the_line_follows_the_mouse_and_the_keys(page) -> None:
    box = page.evaluate(
        "(({x, y, width, height}) => [x, y, width, height])"
        "(document.getElementById('stage').getBoundingClientRect())"
    )
    x, y, width, height = box
    page.press("ArrowLeft")  # nothing has the focus yet
    assert edge(page) == pytest.approx(0.48, abs=0.005)
    page.drag((x + width / 2, y + height / 2), (x + width / 4, y + height / 2))
    assert edge(page) == pytest.approx(0.25, abs=0.02)
    before = edge(page)
    page.press("ArrowRight")
    assert edge(page) == pytest.approx(before + 0.02, abs=0.005)
    page.press("ArrowLeft")
    assert edge(page) == pytest.approx(before, abs=0.005)
    assert page.evaluate("document.activeElement.id") == "split"


def test_a_key_for_another_control_does_not_move_the_line(page) -> None:
    page.evaluate("document.getElementById('freeze').focus()")
    page.press("ArrowRight")
    assert edge(page) == pytest.approx(0.5, abs=0.005)


def test_the_books_are_shown_live(page, run) -> None:
    run.ledger.drop("slot", 3)
    run.ledger.sink_losses = lambda: 2
    page.wait_for(f"{WORDS.format('dropped')} === '5'")
    told = "slot\u00a03 \u00b7 left\u00a0out\u00a0by\u00a0outputs\u00a02"
    assert page.evaluate(WORDS.format("dropped-more")) == told
    assert page.evaluate(WORDS.format("latency")) == "12.5"
    assert page.evaluate(WORDS.format("rung")) == "edge-n int8-cpu"
    assert "budget\u00a050.0\u00a0ms" in page.evaluate(WORDS.format("rung-more"))
    assert page.evaluate("document.title") == "crispstream rtsp://***@10.0.0.7/hall"
    page.wait_for("document.getElementById('chart').ariaLabel.includes('12.5 ms')")


def test_freeze_holds_the_picture_and_not_the_stream(page, run) -> None:
    page.press("f")
    page.wait_for("document.documentElement.dataset.frozen === 'true'")
    frames = page.evaluate("document.documentElement.dataset.frames")
    shown = run.sink.figures()["shown_frames"]
    page.wait_for(f"Number({WORDS.format('rate-more')}.split(' ')[0].replace(',', '')) > {shown}")
    assert int(page.evaluate("document.documentElement.dataset.frames")) <= int(frames) + 1
    page.press("f")
    page.wait_for(f"Number(document.documentElement.dataset.frames) > {int(frames) + 1}")


def test_a_stalled_source_and_the_end_are_told(page, run) -> None:
    run.paused.set()
    run.health.enter("stalled", "no new picture")
    page.wait_for("document.documentElement.dataset.state === 'stalled'")
    assert re.fullmatch(r"Stalled for \d+ s: no new picture", page.evaluate(NOTICE))
    assert page.evaluate(WORDS.format("state-words")) == "stalled: no new picture"
    run.paused.clear()
    run.health.enter("live")
    page.wait_for("document.documentElement.dataset.state === 'live'")
    assert page.complaints == []
    run.end()
    page.wait_for("document.documentElement.dataset.state === 'ended'")
    assert page.evaluate(NOTICE) == "Stream ended"
    assert page.evaluate("document.title").startswith("stream ended")


@pytest.mark.parametrize("state", ["lost", "connecting", "stalled"])
def test_while_the_source_is_gone_nothing_looks_current(page, run, state: str) -> None:
    faded = "Number(getComputedStyle(document.getElementById('latency')).opacity) < 0.5"
    assert not page.evaluate(faded)
    run.paused.set()
    run.health.enter(state)
    page.wait_for(faded)
    page.wait_for(f"/ [1-9]\\d* s/.test({NOTICE})")  # it counts
    run.paused.clear()
    run.health.enter("live")
    page.wait_for(f"!({faded})")
    assert page.evaluate("document.getElementById('notice').hidden")


@pytest.mark.parametrize("dark", [False, True])
def test_it_fits_a_phone_and_nothing_comes_from_outside(page, run, dark, tmp_path) -> None:
    page.look(width=360, height=780, dark=dark)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (int(paper.split("(")[1].split(",")[0]) < 64) == dark
    page.screenshot(tmp_path / "page.png")
    assert (tmp_path / "page.png").stat().st_size > 5_000
    assert page.complaints == []
    url = run.sink.address.url
    files = ("", "page.css", "chart.js", "page.js", "stream")
    assert set(page.requests) == {f"{url}{name}" for name in files}
