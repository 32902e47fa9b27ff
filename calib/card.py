"""The section of a model card that says how INT8 was made and what it costs."""

import re

from .certify.shown import reasons_of, rows_of
from .certify.verify import Verification
from .quantise.ranges import Ranges

_TITLE = "## INT8"


def card_with_int8(card: bytes, ranges: Ranges, verification: Verification) -> bytes:
    """Return a model card with this section, in place of an earlier one."""
    told = card.decode(errors="replace")
    text = re.sub(rf"{_TITLE}\n.*?(?=\n## |\Z)", "", told, flags=re.DOTALL).rstrip()
    return f"{text}\n\n{_section(ranges, verification)}".lstrip().encode()


def _section(ranges: Ranges, verification: Verification) -> str:
    shown = {entry.get("sequence_frames", 1) for entry in verification.entries.values()}
    later = f", each after {max(shown) - 1} frames that lead up to it" if max(shown) > 1 else ""
    lines = [
        _TITLE,
        "",
        f"Calibrated on {ranges.frames} frames by the method {ranges.method}; figures on pairs "
        f"that were not calibrated with{later}, beside fp32. certificate.json has them all.",
        "",
        "| graph | PSNR, dB | PSNR lost, dB | SSIM lost | colour drift, levels | certified |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows_of(verification):
        cells = row.graph, row.psnr, row.lost, row.ssim_lost, row.drift, row.certified
        lines.append(f"| {' | '.join(cell or '-' for cell in cells)} |")
    return "\n".join([*lines, "", *reasons_of(verification)]).rstrip() + "\n"
