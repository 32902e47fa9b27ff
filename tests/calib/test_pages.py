"""The pages of calibration and verification: whole, escaped, and with the figures."""

from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from crispstream.calib.calibrate import Wanted, calibrate
from crispstream.calib.certify.pairs import Pair, Pairs
from crispstream.calib.certify.verify import subject_of, verify
from crispstream.calib.layout import page, section, table, terms
from crispstream.calib.pages import calibration_page, verification_page, write_page
from crispstream.calib.plots import layers_chart, points_plot
from crispstream.calib.quantise.sensitivity import LayerLoss, Point, Sensitivity
from crispstream.core.errors import UsageError
from crispstream.core.int8 import module_path
from tests.helpers.bundles import write_tiny_bundle
from tests.helpers.graphs import edge_like, nearest_x4
from tests.helpers.sets import write_set, write_source

VOID = {"meta", "img", "br", "link", "hr", "input"}
ODD = "<b>&\"'x"


class Page(HTMLParser):
    """Reads a page strictly: every element that opens closes, in order."""

    def __init__(self, html):
        super().__init__()
        self.counts, self.addresses, self.words = Counter(), [], []
        self._open = []
        self.feed(html)
        self.close()
        assert not self._open

    def handle_starttag(self, tag, attrs):
        self.counts[tag] += 1
        self.addresses += [value for name, value in attrs if name in ("src", "href")]
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.counts[tag] += 1

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if not {"style", "script"} & set(self._open):
            self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def made(tmp_path_factory, pairs):
    folder = tmp_path_factory.mktemp("pages")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        wanted = Wanted(write_set(folder / "set"), plan=True, keep_db=55)
        return calibrate(write_source(folder / "tiny"), wanted, pairs, folder / "new")


def test_the_page_of_a_calibration_holds_what_was_found(made):
    found = Page(calibration_page(made))
    assert "tiny: calibration" in found.text
    assert "ranges by mse over 3 frames" in found.text
    for precision in ("fp16", "int8", "int8-cpu"):
        entry = made.verification.entries[precision]
        assert f" {entry['psnr_db']:.2f} " in found.text
        assert f"{entry['psnr_to_fp32_db']:.2f}" in found.text
    assert f"{made.verification.entries['int8-cpu']['speed_over_fp32']:.2f}x" in found.text
    assert found.text.count("yes, emulated") == 2
    assert "by export" in found.text


def test_the_page_of_a_calibration_draws_every_point_and_layer(made):
    found = Page(calibration_page(made))
    assert found.counts["svg"] == 4
    assert found.counts["circle"] == sum(len(one.points) for one in made.sensitivities)
    for one in made.sensitivities:
        assert f"{one.chosen.kept_db:.1f} dB" in found.text
        assert f"{len(one.chosen.layers)} layers in INT8" in found.text
    for layer, tensor in made.plan.layers.items():
        assert module_path(layer) in found.text
        assert f"{made.ranges.of(tensor).high:.3g}" in found.text


def test_the_table_of_layers_says_which_are_int8_in_which_graph(made):
    found = Page(calibration_page(made))
    chosen = [set(form.int8_layers) for form in made.forms.values()]
    for layer in made.plan.layers:
        cells = " ".join("INT8" if layer in names else "-" for names in chosen)
        assert f"{module_path(layer)} {cells} " in found.text


def test_without_a_sensitivity_there_is_no_chart(made):
    found = Page(calibration_page(replace(made, sensitivities=())))
    assert (found.counts["svg"], found.counts["circle"]) == (0, 0)


def test_the_page_of_a_verification_shows_the_worst_frame_of_each_graph(made, pairs):
    found = Page(verification_page(subject_of(made.bundle), made.verification, pairs))
    assert "tiny: certificate" in found.text
    assert "judged on 2 pairs" in found.text
    assert found.counts["img"] == 3 * 4  # the frame, fp32, the graph, their difference
    worst = made.verification.entries["int8"]
    assert f"'{worst['worst_frame']}' loses {worst['worst_frame_loss_db']:.3f} dB" in found.text


def test_pages_fetch_nothing(made, pairs):
    for html in (
        calibration_page(made),
        verification_page(subject_of(made.bundle), made.verification, pairs),
    ):
        found = Page(html)
        assert found.counts["script"] == found.counts["link"] == 0
        assert all(address.startswith("data:image/png;base64,") for address in found.addresses)
        assert "url(" not in html
        assert "http" not in html


def test_names_cannot_break_out(made, pairs):
    odd = replace(pairs, pairs=tuple(replace(one, name=f"{ODD}{one.name}") for one in pairs.pairs))
    subject = replace(subject_of(made.bundle), name=ODD)
    html = verification_page(subject, verify(subject, odd), odd)
    found = Page(html)
    assert "<b>&" not in html
    assert f"{ODD}: certificate" in found.text
    assert f"'{ODD}0' loses" in found.text or f"'{ODD}1' loses" in found.text


def test_reasons_are_told_and_escaped(made):
    entries = dict(made.verification.entries)
    entries["int8"] = {**entries["int8"], "passed": False, "reason": f"colours {ODD} drift"}
    html = calibration_page(replace(made, verification=replace(made.verification, entries=entries)))
    assert "<b>&" not in html
    assert f"int8 failed: colours {ODD} drift" in Page(html).text


def test_a_loss_that_is_no_number_is_shown(tmp_path):
    # fp32 gives these frames exactly, and the other graph does not: it loses infinitely much.
    frame = np.full((12, 16, 3), 90, np.uint8)
    exact = Pairs(tmp_path, (Pair("a", frame, frame.repeat(4, 0).repeat(4, 1)),), "9" * 64)
    graphs = {"fp32": nearest_x4(), "int8": edge_like()}
    subject = subject_of(write_tiny_bundle(tmp_path / "tiny", graphs))
    found = verify(subject, exact)
    assert not found.entries["int8"]["passed"]
    text = Page(verification_page(subject, found, exact)).text
    assert "'a' loses infinite dB" in text
    assert "None" not in text


LOSSES = (LayerLoss("/a/Conv", "usual", 60.0, 1000), LayerLoss("/b/Conv", "last", 95.0, 3000))
POINTS = (Point(("/a/Conv", "/b/Conv"), 53.25, 0.4, 2_000_000), Point(("/b/Conv",), 60.0, 0.7, 3))


def test_points_lie_from_little_work_to_much_and_from_low_to_high():
    found = Sensitivity("int8", LOSSES, POINTS, POINTS[0])
    plot = Parsed(points_plot(found))
    (left, right) = plot.of("circle")
    assert float(left["cx"].strip("%")) < float(right["cx"].strip("%"))
    assert float(left["cy"]) > float(right["cy"])
    assert (left["class"], right["class"]) == ("work", "pale")


def test_a_single_point_has_a_place():
    found = Sensitivity("int8", LOSSES, POINTS[:1], POINTS[0])
    (circle,) = Parsed(points_plot(found)).of("circle")
    assert 0 < float(circle["cx"].strip("%")) < 100


def test_bars_are_longer_where_more_is_lost():
    first, second = Parsed(layers_chart(LOSSES, ["/a/Conv"])).of("rect")
    assert float(first["width"].strip("%")) == 40
    assert float(second["width"].strip("%")) == 0
    assert (first["class"], second["class"]) == ("work", "pale")


class Parsed(HTMLParser):
    """The attributes of a drawing's elements."""

    def __init__(self, html):
        super().__init__()
        self._found = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self._found.append((tag, dict(attrs)))

    def of(self, tag):
        return [attrs for kind, attrs in self._found if kind == tag]


def test_parts_of_a_page_escape_their_text():
    parts = [section(ODD, ODD, "<i>kept</i>"), table([ODD], [[ODD, ODD]]), terms({ODD: ODD}), ""]
    html = page(ODD, ODD, parts, footer=ODD)
    assert "<b>&" not in html
    found = Page(html)
    assert found.text.count(ODD) == 11
    assert found.counts["i"] == 1


def test_a_page_that_cannot_be_written_says_so(tmp_path):
    write_page(tmp_path / "new folder/page.html", "é")
    assert (tmp_path / "new folder/page.html").read_text(encoding="utf-8") == "é"
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"cannot be written .*name another file"):
        write_page(tmp_path / "file/page.html", "")
