"""The coverage report of a calibration set: one HTML page, no script, nothing fetched."""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from crispstream.calib.layout import embedded, page, section, terms

from .coverage import ALIKE_LEVELS, BANDS, FIGURES, Band, lacking_kinds
from .sets import SCHEMA, SetFrame, SetSource

_PICTURE_WIDTH_PX = 320
_MOST_PICTURES = 256
_BINS = 60
_APART = 0.06
"""Share of the axis below which two numbers on it would touch."""
_BARS_TOP_PX, _BARS_PX, _CHART_PX = 26, 48, 94

_TERMS = {
    "brightness": "mean grey level, 0 to 255.",
    "contrast": "standard deviation of the grey levels.",
    "sharpness": "standard deviation of the Laplacian over contrast: falls as blur grows. "
    "Pictures stay under 2, white noise has 4.5.",
    "texture": "mean length of the gradient, grey levels a pixel.",
    "noise": "standard deviation of the noise, grey levels, estimated where there are no edges.",
    "motion": "mean change since the frame before it, grey levels of a picture of 32x18 px; in a "
    "folder of photographs the change from one to the next.",
    "near duplicates": "candidates that look like an earlier one of any source: no pixel of their "
    f"pictures of 32x18 px differs by more than {ALIKE_LEVELS} grey levels, and sharpness and "
    "noise agree.",
}


def html_page(
    model: str | None,
    warnings: Sequence[str],
    frames: Sequence[SetFrame],
    sources: Sequence[SetSource],
    spread: Mapping[str, Sequence[float]],
    pictures: Sequence[bytes],
) -> str:
    """Return the page.

    Args:
        model: the set is for; None for any.
        warnings: what the user has to know before using the set.
        frames: that were chosen, best first.
        sources: all of them.
        spread: figure -> its values over all candidates that differ, the chosen ones among them.
        pictures: one of each frame, see `picture`.
    """
    sections = (
        _tiles(frames, sources),
        _warnings(warnings),
        _coverage(frames, spread),
        _sources(frames, sources),
        _sheet(frames, pictures),
        section("What the numbers hold", "", terms(_TERMS)),
    )
    title = f"Calibration set{f' for {model}' if model else ''}: coverage"
    summary = f"{len(frames)} frames from {len(sources)} source{'s' * (len(sources) > 1)}"
    return page(title, summary, sections, f"set schema {SCHEMA}")


def picture(png: bytes) -> bytes:
    """Return a small JPEG of a PNG file's picture, for the contact sheet."""
    image = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise ValueError("these bytes are no PNG file")
    height, width = image.shape[:2]
    if width > _PICTURE_WIDTH_PX:
        size = (_PICTURE_WIDTH_PX, max(1, round(height * _PICTURE_WIDTH_PX / width)))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes()


def _tiles(frames: Sequence[SetFrame], sources: Sequence[SetSource]) -> str:
    candidates = sum(source.candidates for source in sources)
    different = sum(source.different for source in sources)
    tiles = {
        "frames chosen": len(frames),
        "frames seen": sum(source.seen for source in sources),
        "candidates, at an even stride": candidates,
        "near duplicates among them": candidates - different,
    }
    cells = "".join(
        f'<div class="tile"><b>{value:,}</b><span>{label}</span></div>'
        for label, value in tiles.items()
    )
    return f'<section class="tiles" aria-label="Main figures">{cells}</section>'


def _warnings(warnings: Sequence[str]) -> str:
    if not warnings:
        return ""
    told = "".join(f"<p>{escape(text)}</p>" for text in warnings)
    return f'<section class="warning"><h2>Before you use it</h2>{told}</section>'


def _coverage(frames: Sequence[SetFrame], spread: Mapping[str, Sequence[float]]) -> str:
    legend = (
        '<ul class="legend"><li><i class="work"></i>chosen</li><li><i class="pale"></i>left out'
        '</li><li><i class="rule"></i>where unusual begins</li></ul>'
    )
    figures = "".join(
        _figure(name, [frame.figures[name] for frame in frames], spread[name]) for name in FIGURES
    )
    return section(
        "What it covers",
        "How many frames look how, of all candidates that differ. Ranges are right for what was "
        "seen: what a stream will show, the set should hold.",
        legend + figures,
    )


def _figure(name: str, chosen: Sequence[float], there: Sequence[float]) -> str:
    lacking = lacking_kinds(name, chosen).values()
    words = [f'<p class="lacking">{escape(text)}</p>' for text in lacking]
    words = words or ['<p class="covered">covered on both sides</p>']
    return f'<div class="figure">{_histogram(name, chosen, there)}{"".join(words)}</div>'


def _histogram(name: str, chosen: Sequence[float], there: Sequence[float]) -> str:
    """Return the chart of a figure: candidates as pale bars, the chosen ones in front of them."""
    band = BANDS[name]
    end = 255.0 if name == "brightness" else max(1.05 * max(there), 1.5 * band.high)
    bins_there, bins_chosen = (
        np.histogram(values, _BINS, (0.0, end))[0] for values in (there, chosen)
    )
    counts = (
        f"{band.low_name} {sum(value < band.low for value in chosen)} · usual "
        f"{sum(band.low <= value <= band.high for value in chosen)} · "
        f"{band.high_name} {sum(value > band.high for value in chosen)}"
    )
    peak = int(bins_there.max())
    parts = [
        f'<text class="name" x="0" y="16">{name}</text>',
        f'<text class="value" x="100%" y="16" text-anchor="end">{counts}</text>',
        _bars("pale", bins_there, peak),
        _bars("work", bins_chosen, peak),
        _axis(band, end),
    ]
    spoken = f"Of the chosen frames: {counts}."
    return (
        f'<svg class="chart" role="img" width="100%" height="{_CHART_PX}" '
        f'aria-labelledby="{name}-title {name}-desc"><title id="{name}-title">Distribution of '
        f'{name}</title><desc id="{name}-desc">{escape(spoken)}</desc>{"".join(parts)}</svg>'
    )


def _bars(kind: str, bins: npt.NDArray[np.int64], peak: int) -> str:
    base = _BARS_TOP_PX + _BARS_PX
    heights = [max(_BARS_PX * int(count) / peak, 2.0 * bool(count)) for count in bins]
    return "".join(
        f'<rect class="{kind}" x="{100 * place / _BINS:.3f}%" y="{base - height:.1f}" '
        f'width="{90 / _BINS:.3f}%" height="{height:.1f}"/>'
        for place, height in enumerate(heights)
        if height
    )


def _axis(band: Band, end: float) -> str:
    base = _BARS_TOP_PX + _BARS_PX
    edges = "".join(
        f'<line class="edge" x1="{100 * edge / end:.3f}%" x2="{100 * edge / end:.3f}%" '
        f'y1="{_BARS_TOP_PX - 2}" y2="{base}"/>{_tick(100 * edge / end, edge, "middle")}'
        for edge in (band.low, band.high)
    )
    zero = _tick(0, 0, "start") if band.low > _APART * end else ""
    ends = zero + _tick(100, end, "end")
    return f'{edges}{ends}<line class="axis" x1="0" x2="100%" y1="{base}" y2="{base}"/>'


def _tick(place_percent: float, value: float, anchor: str) -> str:
    y = _BARS_TOP_PX + _BARS_PX + 15
    text = f"{value:.2g}" if value < 10 else f"{value:.0f}"
    return (
        f'<text class="tick" x="{place_percent:.3f}%" y="{y}" text-anchor="{anchor}">{text}</text>'
    )


def _sources(frames: Sequence[SetFrame], sources: Sequence[SetSource]) -> str:
    heads = ("source", "size", "seen", "candidates", "that differ", "chosen")
    sizes = {frame.source: f"{frame.width}x{frame.height}" for frame in frames}
    rows = "".join(
        f'<tr><th scope="row">{escape(source.uri)}</th><td>{sizes.get(source.uri, "")}</td>'
        f"<td>{source.seen:,}</td><td>{source.candidates:,}</td><td>{source.different:,}</td>"
        f"<td>{source.picked:,}</td></tr>"
        for source in sources
    )
    head = "".join(f'<th scope="col">{text}</th>' for text in heads)
    note = "Sources of different sizes are in the set." if len(set(sizes.values())) > 1 else ""
    return section(
        "Where the frames come from",
        note,
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'
        "</div>",
    )


def _sheet(frames: Sequence[SetFrame], pictures: Sequence[bytes]) -> str:
    shown = list(zip(frames, pictures, strict=True))[:_MOST_PICTURES]
    cells = "".join(_cell(number, frame, jpeg) for number, (frame, jpeg) in enumerate(shown, 1))
    more = f" The first {_MOST_PICTURES} are shown." if len(frames) > _MOST_PICTURES else ""
    return section(
        "The frames",
        f"In the order of choice: each differs most from all before it, so the first n are a "
        f"good choice of n.{more}",
        f'<div class="sheet">{cells}</div>',
    )


def _cell(number: int, frame: SetFrame, jpeg: bytes) -> str:
    where = f"#{frame.serial} of {Path(frame.source).name}"
    figures = "".join(
        f"<div><dt>{name}</dt><dd>{_digits(frame.figures[name])}</dd></div>" for name in FIGURES
    )
    mark = "synthetic, " if frame.synthetic else ""
    return (
        f'<figure><img loading="lazy" alt="frame {frame.serial} of {escape(frame.source)}" '
        f'src="{embedded(jpeg, "jpeg")}"><figcaption><p><b>{number}</b> '
        f"{mark}{escape(where)}</p><dl>{figures}</dl></figcaption></figure>"
    )


def _digits(value: float) -> str:
    """Return a figure with two or three digits that matter.

    >>> _digits(118.4), _digits(12.34), _digits(0.3149), _digits(0)
    ('118', '12.3', '0.31', '0')
    """
    return f"{value:.0f}" if value >= 100 or not value else f"{value:.{1 if value >= 10 else 2}f}"
