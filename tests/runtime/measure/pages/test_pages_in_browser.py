"""Every page in a real browser: narrow and wide, light and dark, and nothing fetched."""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from crispstream.runtime.measure.comparing.compare import compare_records
from crispstream.runtime.measure.pages.bench import bench_page
from crispstream.runtime.measure.pages.compare import compare_page
from crispstream.runtime.measure.pages.plan import plan_page
from crispstream.runtime.measure.pages.profile import profile_page
from crispstream.runtime.measure.pages.run import html_page
from crispstream.runtime.measure.plan.record import PlanRecord
from crispstream.runtime.stream.drift import Drift, FigureDrift
from tests.helpers.browser import Browser, Page, missing
from tests.helpers.layer_records import plan_record, profile_record, run_report
from tests.helpers.records import bench_record

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(missing()), reason=missing())]

DRIFT = Drift(9, 9, 1, (FigureDrift("brightness", 35.0, 180.25, 120.0, 160.5, outside=9),))
LONG = "/body/" + "".join(f"block.{index}/residual/" for index in range(5)) + "conv1/Conv"
WIDE = "document.documentElement.scrollWidth"
CUT_OFF = (  # words that reach out of the window, other than inside of what scrolls by itself
    "[...document.querySelectorAll('h1, h2, p, dd, .name, .value, .strip text, svg text')]"
    ".filter(e => !e.closest('.scroll')).filter(e => { const b = e.getBoundingClientRect();"
    " return b.left < -1 || b.right > innerWidth + 1; }).map(e => e.textContent)"
)
FLAT = (
    "[...document.querySelectorAll('svg.chart, ol.bars')].filter(e => "
    "e.getBoundingClientRect().width < 180 || e.getBoundingClientRect().height < 15).length"
)
CELLS_OUTSIDE = (  # of tables that answer something, and their heads on narrow screens
    "[...document.querySelectorAll('table.many tbody :is(th, td)')]"
    ".filter(e => e.textContent).filter(e => { const b = e.getBoundingClientRect();"
    " return b.left < 0 || b.right > innerWidth || b.width < 5; }).map(e => e.textContent)"
)
HEADS = (
    "[...new Set([...document.querySelectorAll('table.many td')].filter(e => e.textContent)"
    ".map(e => getComputedStyle(e, '::before').content))]"
)
DECISIVE = {
    "run": ("p99", "max", "outside"),
    "bench": ("p50", "p99", "max", "jitter", "frames/s"),
    "plan": ("share", "GMAC", "frames/s at the roof", "expected frames/s"),
    "measured": ("measured, ms", "of the roof"),
    "profile": ("share", "GMAC", "of the roof"),
    "compare": ("A", "B", "B / A (99 %)", "verdict"),
}
SCROLLING = (
    "[...document.querySelectorAll('.scroll')].filter(e => e.scrollWidth > e.clientWidth + 1)"
    ".map(e => getComputedStyle(e).backgroundAttachment)"
)
NUMBERS = (
    "[...document.querySelectorAll('#roofline-title')].flatMap(t => [...t.parentElement"
    ".querySelectorAll('text.strong')]).map(e => e.getBoundingClientRect())"
    ".map(b => [b.left, b.right, b.top, b.bottom])"
)
CONTRAST = """(() => {
  const luminance = text => { const c = text.match(/[\\d.]+/g).slice(0, 3).map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * c[0] + 0.7152 * c[1] + 0.0722 * c[2]; };
  const card = luminance(getComputedStyle(document.querySelector('section')).backgroundColor);
  const against = colour => { const l = luminance(colour);
    return (Math.max(l, card) + 0.05) / (Math.min(l, card) + 0.05); };
  const of = (selector, property) => [...document.querySelectorAll(selector)]
    .map(e => against(getComputedStyle(e)[property]));
  return {words: Math.min(...of('p, td, dd, .value', 'color'), ...of('svg text', 'fill')),
          marks: Math.min(...of('.line, .roof, .interval', 'stroke'), ...of('rect.work', 'fill'),
                          99)};
})()"""


def long_names(record: PlanRecord) -> PlanRecord:
    layers = tuple(replace(layer, name=LONG + str(i)) for i, layer in enumerate(record.layers))
    return replace(record, layers=layers)


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Page]]:
    bench, plan, profile = bench_record(), long_names(plan_record()), profile_record()
    texts = {
        "run": html_page(replace(run_report(), drift=DRIFT)),
        "bench": bench_page(bench),
        "plan": plan_page(plan),
        "measured": plan_page(long_names(plan_record(measured=True))),
        "profile": profile_page(profile, plan_record()),
        "compare": compare_page(compare_records(bench, bench_record(frames=300), LONG, "b.json")),
    }
    folder: Path = tmp_path_factory.mktemp("pages")
    with Browser() as browser:
        opened = {}
        for name, text in texts.items():
            (folder / f"{name}.html").write_text(text, encoding="utf-8")
            opened[name] = browser.open(f"file://{folder}/{name}.html")
        yield opened


@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_has_to_be_scrolled_sideways(pages: dict[str, Page], width: int) -> None:
    for name, page in pages.items():
        page.look(width=width, height=900)
        assert page.evaluate(f"{WIDE} <= innerWidth"), name
        assert page.evaluate(CUT_OFF) == [], name
        assert page.evaluate(FLAT) == 0, name


def test_what_tables_answer_is_in_sight_on_a_telephone(pages: dict[str, Page]) -> None:
    for name, page in pages.items():
        page.look(width=360, height=900)
        assert page.evaluate(CELLS_OUTSIDE) == [], name
        heads = page.evaluate(HEADS)
        for head in DECISIVE[name]:
            assert f'"{head}"' in heads, name
        page.look(width=1280, height=900)
        assert page.evaluate(HEADS) == ["none"], name


def test_tables_that_scroll_show_that_they_do(pages: dict[str, Page]) -> None:
    scrolling = 0
    for page in pages.values():
        for width in (360, 540):
            page.look(width=width, height=900)
            found = page.evaluate(SCROLLING)
            assert set(found) <= {"local, scroll"}
            scrolling += len(found)
    assert scrolling > 0


def test_numbers_in_the_roofline_can_be_told_apart(pages: dict[str, Page]) -> None:
    for name in ("plan", "measured", "profile"):
        pages[name].look(width=360, height=900)
        boxes = pages[name].evaluate(NUMBERS)
        assert boxes
        for one, other in itertools.combinations(boxes, 2):
            beside_px = max(one[0] - other[1], other[0] - one[1])
            above_px = max(one[2] - other[3], other[2] - one[3])
            assert beside_px >= 4 or above_px >= -4, name  # boxes are higher than digits


@pytest.mark.parametrize("dark", [False, True])
def test_words_and_marks_stand_out(pages: dict[str, Page], dark: bool) -> None:
    for name, page in pages.items():
        page.look(width=1280, height=900, dark=dark)
        contrast = page.evaluate(CONTRAST)  # WCAG 2.2: 4.5 for text, 3 for what charts are made of
        assert contrast["words"] >= 4.5, name
        assert contrast["marks"] >= 3, name


def test_a_dark_page_is_dark_and_a_printed_one_white(pages: dict[str, Page]) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    for name, page in pages.items():
        page.look(width=720, height=900, dark=True)
        assert page.evaluate(ground) == "rgb(17, 22, 28)", name
        dark = [{"name": "prefers-color-scheme", "value": "dark"}]
        page.call("Emulation.setEmulatedMedia", {"media": "print", "features": dark})
        assert page.evaluate(ground) == "rgb(255, 255, 255)", name
        assert page.evaluate(f"{WIDE} <= innerWidth"), name
        page.call("Emulation.setEmulatedMedia", {"media": "", "features": []})


def test_pages_ask_for_nothing_and_complain_of_nothing(pages: dict[str, Page]) -> None:
    for page in pages.values():
        assert page.complaints == []
        assert len(page.requests) == 1  # itself
