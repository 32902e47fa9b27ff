"""Charts of a quantisation plan as inline SVG: positions across in percent, so that they fit."""

from collections.abc import Sequence
from html import escape

from crispstream.core.int8 import module_path

from .quantise.sensitivity import LayerLoss, Point, Sensitivity

_HEIGHT_PX = 284
_TOP_PX, _BOTTOM_PX = 14, 64
_LEFT, _RIGHT = 7.0, 97.0  # percent
_ROW_PX = 26


def points_plot(found: Sensitivity) -> str:
    """Return quality against work: one point a choice of layers, the chosen one marked."""
    low_db, high_db = _span([point.kept_db for point in found.points])
    least, most = _span([point.work for point in found.points], margin=0.05)
    most = min(1.0, most)

    def place(point: Point) -> tuple[float, float]:
        across = _LEFT + (_RIGHT - _LEFT) * (point.work - least) / max(1e-9, most - least)
        share = (point.kept_db - low_db) / max(1e-9, high_db - low_db)
        return across, _TOP_PX + (_HEIGHT_PX - _TOP_PX - _BOTTOM_PX) * (1 - share)

    marks = [_mark(place(point), point, chosen=point == found.chosen) for point in found.points]
    parts = [*_axes(low_db, high_db, least, most), *marks]
    title = f"{found.flavour}: quality kept against predicted time of the convolutions"
    return _svg(title, _HEIGHT_PX, parts)


def _mark(place: tuple[float, float], point: Point, *, chosen: bool) -> str:
    across, down = place
    told = (
        f"{len(point.layers)} layers in INT8: {point.kept_db:.1f} dB to fp32, "
        f"{point.work:.0%} of the time, {point.weight_bytes / 1e6:.2f} MB of weights"
    )
    style, radius = ("work", 7) if chosen else ("pale", 5)
    label = (
        f'<text class="name" x="{across:.2f}%" y="{down - 12:.1f}" text-anchor="middle">'
        f"{point.kept_db:.1f} dB</text>"
        if chosen
        else ""
    )
    return (
        f'<circle class="{style}" cx="{across:.2f}%" cy="{down:.1f}" r="{radius}">'
        f"<title>{told}</title></circle>{label}"
    )


def _axes(low_db: float, high_db: float, least: float, most: float) -> list[str]:
    floor = _HEIGHT_PX - _BOTTOM_PX
    parts = [
        f'<line class="axis" x1="{_LEFT}%" x2="{_RIGHT}%" y1="{floor + 8}" y2="{floor + 8}"/>',
        f'<text class="tick" x="{_RIGHT}%" y="{floor + 40}" text-anchor="end">'
        "predicted time of the convolutions, fp = 100 %</text>",
        f'<text class="tick" x="0" y="{floor + 40}">dB to fp32</text>',
    ]
    for share in (0.0, 0.5, 1.0):
        db = low_db + share * (high_db - low_db)
        down = _TOP_PX + (floor - _TOP_PX) * (1 - share)
        parts.append(f'<text class="tick" x="0" y="{down + 4:.1f}">{db:.1f}</text>')
        across = _LEFT + (_RIGHT - _LEFT) * share
        work = least + share * (most - least)
        anchor = {0.0: "start", 0.5: "middle", 1.0: "end"}[share]
        parts.append(
            f'<text class="tick" x="{across}%" y="{floor + 22}" text-anchor="{anchor}">'
            f"{work:.0%}</text>"
        )
    return parts


def layers_chart(losses: Sequence[LayerLoss], chosen: Sequence[str]) -> str:
    """Return a bar a layer: how far from fp32 the frames are when it alone is in INT8.

    Longer is worse: bars show 90 dB less the dB that are kept.
    """
    longest = max(90 - loss.kept_db for loss in losses)
    parts = []
    for index, loss in enumerate(losses):
        down = index * _ROW_PX
        width = 40 * max(0.0, 90 - loss.kept_db) / max(1.0, longest)
        style = "work" if loss.name in chosen else "pale"
        parts.append(
            f'<text class="name" x="0" y="{down + 17}">{escape(module_path(loss.name))}</text>'
            f'<rect class="{style}" x="45%" y="{down + 5}" width="{width:.2f}%" height="16"/>'
            f'<text class="value" x="100%" y="{down + 17}" text-anchor="end">'
            f"{loss.kept_db:.1f} dB</text>"
        )
    return _svg("Quality kept with one layer in INT8", _ROW_PX * len(losses), parts)


def _span(values: Sequence[float], margin: float = 1.0) -> tuple[float, float]:
    return min(values) - margin, max(values) + margin


def _svg(title: str, height_px: int, parts: Sequence[str]) -> str:
    return (
        f'<svg class="chart" role="img" aria-label="{escape(title)}" width="100%" '
        f'height="{height_px}"><title>{escape(title)}</title>{"".join(parts)}</svg>'
    )
