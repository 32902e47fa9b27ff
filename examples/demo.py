"""The demo: restore the sample clip, say how good and how fast, and leave the evidence.

It needs the base install only. What it leaves in build/demo:

    restored.mp4        the clip, 4 times as wide and as high
    before_after.png    one frame: bicubic, restored, truth
    report.html         where every millisecond went; opens without a network
    report.json         the same for machines
"""

import argparse
import dataclasses
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
from before_after import compose
from rich.console import Console

from crispstream.core.bicubic import upscale_x4
from crispstream.core.metrics import psnr_db
from crispstream.core.pixels import Bytes
from crispstream.runtime.frame import Frame
from crispstream.runtime.measure.pages.run import write_html
from crispstream.runtime.measure.report import (
    Quality,
    RunReport,
    report_from_run,
    write_json,
)
from crispstream.runtime.measure.summary import print_table
from crispstream.runtime.restorer import Restorer
from crispstream.runtime.stream.loop import run_stream
from crispstream.runtime.stream.sink import Sink, open_sink
from crispstream.runtime.stream.source import open_source

ROOT = Path(__file__).resolve().parents[1]
BLURRED = ROOT / "examples/media/gopro-blur-320x180.mp4"
SHARP = ROOT / "examples/media/gopro-sharp-1280x720.mp4"


class KeepingSink(Sink):
    """Passes frames on and keeps a copy: PSNR is measured before the video encoder."""

    def __init__(self, inner: Sink) -> None:
        """`inner` writes the video."""
        self._inner = inner
        self.frames: list[Bytes] = []

    def write(self, frame: Frame, restored_hwc: Bytes) -> None:
        """Keep the pixels, which the restorer will overwrite, and pass them on."""
        self.frames.append(restored_hwc.copy())
        self._inner.write(frame, restored_hwc)

    def close(self, *, complete: bool = True) -> None:
        """Finish the video."""
        self._inner.close(complete=complete)


def pixels_of(clip: Path) -> list[Bytes]:
    """Return all frames of a short clip, [H,W,3] BGR."""
    source = open_source(str(clip))
    frames = [frame.pixels_hwc for frame in source]
    source.close()
    return frames


def psnrs_db(images: Iterable[Bytes], truths: Iterable[Bytes]) -> list[float]:
    """Return the PSNR of each frame."""
    return [psnr_db(a, b) for a, b in zip(images, truths, strict=True)]


def restore(model: str, output: Path) -> tuple[RunReport, list[Bytes]]:
    """Write restored.mp4; return the report and the restored frames."""
    target = output / "restored.mp4"
    source = open_source(str(BLURRED))
    size = (source.info.width, source.info.height)
    with Restorer.open(model, size=size, frames_in_flight=3) as restorer:
        sink = KeepingSink(open_sink(str(target), source.info, restorer.scale, overwrite=True))
        figures = run_stream(source, restorer, sink)
        source.close()
        report = report_from_run(
            figures,
            source=shown(BLURRED),
            sink=shown(target),
            model=restorer.name,
            precision=restorer.precision,
            backend=restorer.backend_name,
        )
    return report, sink.frames


def shown(path: Path) -> str:
    """Return a path as people want to read it: from the project's folder where it lies inside."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


def main() -> None:
    """Restore, compare, report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="edge-s", help="shipped name or path of a bundle")
    parser.add_argument("--output", type=Path, default=ROOT / "build/demo")
    chosen = parser.parse_args()
    output: Path = chosen.output
    output.mkdir(parents=True, exist_ok=True)
    console = Console()
    console.print(f"restoring {shown(BLURRED)} with {chosen.model} ...", highlight=False)
    report, restored = restore(chosen.model, output)

    truths = pixels_of(SHARP)
    bicubic = [upscale_x4(frame_hwc) for frame_hwc in pixels_of(BLURRED)]
    before_db, after_db = psnrs_db(bicubic, truths), psnrs_db(restored, truths)
    quality = Quality(len(truths), float(np.mean(before_db)), float(np.mean(after_db)))
    report = dataclasses.replace(report, quality=quality)

    typical = int(np.argsort(before_db)[len(before_db) // 2])
    picture = compose(bicubic[typical], restored[typical], truths[typical], report.model)
    cv2.imwrite(str(output / "before_after.png"), picture)
    write_json(report, output / "report.json")
    write_html(report, output / "report.html")
    print_table(report, console)
    for name in ("restored.mp4", "before_after.png", "report.html", "report.json"):
        console.print(f"  {shown(output / name)}", highlight=False)


if __name__ == "__main__":
    main()
