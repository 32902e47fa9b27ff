"""Writes the tables of docs/networks.md: what each network is, costs and is known to reach.

Parameters and work are counted on the spot, without values; what was exported, built and trained
stands in results/*.json. Run again, it gives the same page; a test compares.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from crispstream.export.static import macs
from crispstream.train.models.registry import build_network

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/networks.md"
RESULTS = ROOT / "benchmarks/results"


class Known(NamedTuple):
    """A network of the first table and where its facts come from."""

    name: str
    what: str
    source: str


GFN = "Zhang et al., BMVC 2018"
CNLRN = "Bai et al., CVPRW 2021"
CMOS = "Chen et al., CVPR 2023"
RELEASED = "the authors' released code"
OURS = "ours"

NETWORKS = (
    Known("edge-n", "deployed family, smallest", OURS),
    Known("edge-s", "deployed family, middle", OURS),
    Known("edge-m", "deployed family, largest", OURS),
    Known("srresnet", "super-resolution and reconstruction of GFN alone", f"modules: {RELEASED}"),
    Known("gfn", f"GFN with its gate, {GFN}", RELEASED),
    Known("ms2net", "MS2Net-style, Niu et al., TCSVT 2022", "its abstract; all else ours"),
    Known("cnlrn", f"CNLRN, {CNLRN}", RELEASED),
    Known("predeblur", f"first stage of CNLRN: sharp frame at its own size, {CNLRN}", RELEASED),
    Known(
        "cmsc",
        "CMSC on luma, Hu et al., arXiv 1802.08808",
        "the paper's figure, depth and size from a survey; widths and kernels ours",
    ),
    Known("cmsc-fast", "CMSC at the frame's own size, in colour", OURS),
    Known("cmos-nyuv2", f"CMOS: blur and classes of each pixel, {CMOS}", RELEASED),
    Known("rrdb-sft", f"RRDB-SFT: restores, told blur and classes, {CMOS}", RELEASED),
    Known("blindsr-nyuv2", f"CMOS and RRDB-SFT joined, {CMOS}", RELEASED),
)

VARIANTS = (
    Known("gfn-ungated", "GFN before its gate is trained; ablations 4 and 5", RELEASED),
    Known("gfn-ijcv", "GFN with its gate applied three times", RELEASED),
    Known("gfn-model-1", "ablation: deblur, then enlarge", "table 2 of the paper; wiring ours"),
    Known("gfn-model-2", "ablation: enlarge, then deblur", "table 2 of the paper; wiring ours"),
    Known("gfn-model-3", "ablation: two branches, joined as images", "table 2; wiring ours"),
    Known("ms2net-no-msff1", "one size of deblurring features only", OURS),
    Known("ms2net-local-msff1", "fusion without its global path", OURS),
    Known("ms2net-no-msff2", "stages without attention", OURS),
    Known("ms2net-k1", "one stage", OURS),
    Known("ms2net-k2", "two stages", OURS),
    Known("cmsc-a", "one kernel pair throughout", OURS),
    Known("cmsc-c", "four stages", OURS),
    Known("cmsc-rgb", "on three channels", OURS),
    Known("cmos-cityscapes", "19 classes", RELEASED),
    Known("blindsr-cityscapes", "19 classes", RELEASED),
    Known("gfn-w16", "a quarter of the width, for training on a CPU", OURS),
    Known("srresnet-w16", "a quarter of the width, for training on a CPU", OURS),
)


class Published(NamedTuple):
    """A published result."""

    network: str
    data: str
    protocol: str
    psnr_db: str
    ssim: str
    source: str


_GFN_PROTOCOL = "RGB, 6 px cut, 8 bit"
_CNLRN_PROTOCOL = "RGB, 4 px cut, 8 bit"
_CMOS_PROTOCOL = "luma, nothing cut, mean of 5 groups"
_CMSC_PROTOCOL = "luma, bicubic x4, no blur"
_TABLE_2 = "paper, table 2"
_SURVEY = 'tables of the survey "A Deep Journey into Super-Resolution"'
_PAPER = "paper"

PUBLISHED = (
    Published("gfn", "LR-GOPRO", _GFN_PROTOCOL, "27.74", "", _PAPER),
    Published("gfn", "LR-GOPRO", _GFN_PROTOCOL, "27.81", "", "released weights"),
    Published("srresnet", "LR-GOPRO", _GFN_PROTOCOL, "26.20", "", f"{_TABLE_2}, trained again"),
    Published("gfn-model-1", "LR-GOPRO", _GFN_PROTOCOL, "26.82", "", _TABLE_2),
    Published("gfn-model-2", "LR-GOPRO", _GFN_PROTOCOL, "27.00", "", _TABLE_2),
    Published("gfn-model-3", "LR-GOPRO", _GFN_PROTOCOL, "27.01", "", _TABLE_2),
    Published("gfn-model-4", "LR-GOPRO", _GFN_PROTOCOL, "27.39", "", _TABLE_2),
    Published("gfn-model-5", "LR-GOPRO", _GFN_PROTOCOL, "27.53", "", _TABLE_2),
    Published("cnlrn", "REDS Val300", _CNLRN_PROTOCOL, "27.770", "0.7784", "authors' log"),
    Published("cnlrn", "DVD100", _CNLRN_PROTOCOL, "26.089", "0.7974", "authors' log"),
    Published("cmsc", "Set5", _CMSC_PROTOCOL, "31.91", "0.8923", _SURVEY),
    Published("cmsc", "Set14", _CMSC_PROTOCOL, "28.35", "0.7751", _SURVEY),
    Published("cmsc", "BSD100", _CMSC_PROTOCOL, "27.46", "0.7308", _SURVEY),
    Published("cmsc", "Urban100", _CMSC_PROTOCOL, "25.64", "0.7692", _SURVEY),
    Published("blindsr-nyuv2", "NYUv2-BSR", _CMOS_PROTOCOL, "32.03", "0.9154", _PAPER),
    Published("blindsr-cityscapes", "Cityscapes-BSR", _CMOS_PROTOCOL, "35.58", "0.9383", _PAPER),
    Published("rrdb-sft", "NYUv2-BSR, true maps given", _CMOS_PROTOCOL, "33.75", "0.9300", _PAPER),
)
"""What could be read in the sources; figures known from memory alone are left out."""


def counted(name: str) -> tuple[int, int]:
    """Return parameters, and multiply-accumulates for 320x180 -> 1280x720; nothing is computed."""
    with torch.device("meta"):
        network = build_network(name).eval()
    return sum(weights.numel() for weights in network.parameters()), macs(network, 320, 180)


def figures_of(benchmark: str) -> dict[str, Any]:
    """Return the committed figures of a benchmark, {} if it was not run."""
    path = RESULTS / f"{benchmark}.json"
    figures: dict[str, Any] = json.loads(path.read_text())["figures"] if path.is_file() else {}
    return figures


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table.

    >>> print(table(["a", "b"], [["1", "2"]]))
    | a | b |
    |---|---|
    | 1 | 2 |
    """
    lines = [f"| {' | '.join(row)} |" for row in (titles, *rows)]
    return "\n".join([lines[0], "|" + "---|" * len(titles), *lines[1:]])


def costs() -> str:
    """Return the first table."""
    built = figures_of("published_exports")
    rows = []
    for known in NETWORKS:
        parameters, work = counted(known.name)
        size, engine = _exported(known.name, built.get(known.name, {}))
        rows.append(
            [f"`{known.name}`", known.what, *_cost(parameters, work), size, engine, known.source]
        )
    titles = ("network", "", "parameters", "GMAC", "fp32 / fp16 file, MB", "TensorRT-RTX builds")
    return table([*titles, "facts from"], rows)


def _cost(parameters: int, work: int) -> tuple[str, str]:
    return f"{parameters:,}", f"{work / 1e9:,.1f}"


def _exported(name: str, built: dict[str, Any]) -> tuple[str, str]:
    """Return the cells about files and engines."""
    shipped = [ROOT / f"runtime/bundles/{name}/{precision}.onnx" for precision in ("fp32", "fp16")]
    if all(path.is_file() for path in shipped):
        sizes = (path.stat().st_size / 1e6 for path in shipped)
        return " / ".join(f"{size:.2f}" for size in sizes), "yes, for any size"
    if not built:
        return "-", "-"
    sizes = (built[precision].get("onnx_mb") for precision in ("fp32", "fp16"))
    files = " / ".join("-" if size is None else f"{size:.1f}" for size in sizes)
    frames = [built[precision].get("size", "no") for precision in ("fp32", "fp16")]
    if frames[0] == frames[1]:
        return files, "no" if frames[0] == "no" else f"yes, at {frames[0]}"
    return files, f"fp32: {frames[0]}, fp16: {frames[1]}"


def variants() -> str:
    """Return the second table."""
    rows = [
        [f"`{known.name}`", known.what, *_cost(*counted(known.name)), known.source]
        for known in VARIANTS
    ]
    return table(["network", "", "parameters", "GMAC", "facts from"], rows)


def published() -> str:
    """Return the table of published results."""
    rows = [[f"`{row.network}`", *(cell or "-" for cell in row[1:])] for row in PUBLISHED]
    return table(["network", "data", "measured on", "PSNR, dB", "SSIM", "source"], rows)


def trained_alike() -> str:
    """Return the table about our own training."""
    rows = [_alike(name, figures) for name, figures in figures_of("fair_fight").items()]
    titles = ("network", "parameters", "GMAC", "training, CPU s", "synthetic blur", "real blur")
    return table(titles, rows)


def _alike(name: str, figures: dict[str, Any]) -> list[str]:
    quality = [f"{figures[kind]['psnr_db']:.2f}" for kind in ("synthetic", "real")]
    if "parameters" not in figures:
        return [name, "-", "-", "-", *quality]
    cost = [f"{figures['parameters']:,}", f"{figures['gmac']:.1f}"]
    return [f"`{name}`", *cost, f"{figures['training_cpu_seconds']:.0f}", *quality]


TABLES = {
    "costs": costs,
    "variants": variants,
    "published": published,
    "trained alike": trained_alike,
}
"""What stands between `<!-- NAME -->` and `<!-- end -->` on the page."""


def page(text: str) -> str:
    """Return the page with its tables written again; the words around them stay.

    Raises:
        ValueError: if the page has no place for a table.
    """
    for name, made in TABLES.items():
        opening, closing = f"<!-- {name} -->\n", "<!-- end -->"
        before, found, rest = text.partition(opening)
        _, ended, after = rest.partition(closing)
        if not (found and ended):
            raise ValueError(f"the page has no place for the table '{name}'")
        text = f"{before}{opening}\n{made()}\n\n{closing}{after}"
    return text


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
