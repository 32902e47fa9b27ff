"""What it costs to cut 640x360 into four tiles, and whether tiles ever change a byte.

Each of the four shows 320x180 and, on its inner sides, the network's halo. Rounds restore the same
frames whole and in tiles, in turns; the figure is the ratio of the times, beside the share of
pixels that tiles compute twice. Bytes are compared for every precision of the CPU, for odd frame
sizes and for tiles from the smallest that work.
"""

from dataclasses import asdict

import cv2
import numpy as np
from common import (
    MODELS,
    SAMPLE,
    Limit,
    Ratio,
    arguments,
    cost_of,
    paired_ratio,
    publish,
    result,
    sample_frames,
)

from crispstream.core.pixels import Bytes, padded_size
from crispstream.core.sizes import Size, size_text
from crispstream.runtime.engine.models import find_model
from crispstream.runtime.engine.tiling.plan import Plan, Tiling
from crispstream.runtime.restorer import Restorer

WIDTH, HEIGHT = 640, 360
PRECISIONS = ("fp32", "fp16", "int8-cpu")
FRAME_SIZES = ((320, 180), (317, 179), (250, 131), (301, 90), (75, 180))
AT_MOST_BEYOND_PIXELS = 1.10


def quarter(model: str) -> Tiling:
    """Return the tiling of a frame into four with the model's halo."""
    bundle = find_model(model)
    halo, _ = padded_size(bundle.halo_px, 1, bundle.size_multiple)
    tile = (WIDTH // 2 + halo, HEIGHT // 2 + halo)
    return Tiling(tile, bundle.halo_px, bundle.size_multiple)


def overhead(model: str, rounds: int, threads: int | None, frames: list[Bytes]) -> Ratio:
    """Return the time in tiles over the time whole."""
    with (
        Restorer.open(model, "fp32", "onnxruntime", threads=threads) as whole,
        Restorer.open(
            model, "fp32", "onnxruntime", threads=threads, tile=quarter(model).tile
        ) as tiled,
    ):
        taken: dict[Restorer, list[float]] = {whole: [], tiled: []}
        for turn in range(rounds + 1):  # the first warms up
            for restorer in (whole, tiled) if turn % 2 else (tiled, whole):
                cost = cost_of(lambda each=restorer: restored(each, frames))
                taken[restorer].append(cost.wall_ms)
        return paired_ratio(taken[tiled][1:], taken[whole][1:])


def restored(restorer: Restorer, frames: list[Bytes]) -> int:
    """Restore frames one after the other; return how many."""
    for frame_hwc in frames:
        restorer.restore(frame_hwc)
    return len(frames)


def tile_sizes(tiling: Tiling) -> list[Size]:
    """Return tiles from the smallest that work to some that are barely too small for a frame."""
    least = tiling.smallest_side
    return [(least, least), (least + 8, 100), (128, 128), (160, 96), (248, 128), (316, 176)]


def differing_bytes(model: str, precision: str, frame_hwc: Bytes) -> tuple[int, int, int]:
    """Return bytes that differ, bytes compared, and tiles: over all frame and tile sizes."""
    differ = compared = tiles = 0
    with Restorer.open(model, precision, "onnxruntime", allow_uncertified=True) as whole:
        for width, height in FRAME_SIZES:
            part_hwc = frame_hwc[:height, :width]
            expected = whole.restore(part_hwc).copy()
            for tile in tile_sizes(quarter(model)):
                differ += _differing(model, precision, tile, part_hwc, expected)
                compared += expected.size
                tiles += _plan(model, tile, part_hwc).tiles
    return differ, compared, tiles


def _differing(
    model: str, precision: str, tile: Size, frame_hwc: Bytes, expected_hwc: Bytes
) -> int:
    with Restorer.open(model, precision, "onnxruntime", allow_uncertified=True, tile=tile) as tiled:
        return int(np.count_nonzero(tiled.restore(frame_hwc) != expected_hwc))


def _plan(model: str, tile: Size, frame_hwc: Bytes) -> Plan:
    bundle = find_model(model)
    height, width = padded_size(frame_hwc.shape[0], frame_hwc.shape[1], bundle.size_multiple)
    return Tiling(tile, bundle.halo_px, bundle.size_multiple).plan(height, width)


def main() -> None:
    """Measure each model."""
    parser = arguments(__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, help="of the engine; every core by default")
    parser.add_argument("--frames", type=int, default=5, help="restored in a round")
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    chosen = parser.parse_args()
    sample = sample_frames()
    large = [cv2.resize(each, (WIDTH, HEIGHT)) for each in sample[: chosen.frames]]
    figures: dict[str, object] = {}
    limits = {}
    for model in chosen.models:
        tiling = quarter(model)
        pixels = tiling.plan(HEIGHT, WIDTH).overhead
        ratio = overhead(model, chosen.rounds, chosen.threads, large)
        figures[f"{model}_tile"] = size_text(tiling.tile)
        figures[f"{model}_pixels_ratio"] = pixels
        figures[f"{model}_time_ratio"] = asdict(ratio)
        limits[f"{model}_time_over_pixels"] = Limit(ratio.median / pixels, AT_MOST_BEYOND_PIXELS)
        for precision in PRECISIONS:
            differ, compared, tiles = differing_bytes(model, precision, sample[-1])
            figures[f"{model}_{precision}_bytes"] = {"compared": compared, "tiles": tiles}
            limits[f"{model}_{precision}_bytes_that_differ"] = Limit(differ, 0)
    settings = {
        "frame": f"{WIDTH}x{HEIGHT}",
        "rounds": chosen.rounds,
        "frames_in_a_round": chosen.frames,
        "threads": chosen.threads,
        "source": SAMPLE.name,
        "compared_frame_sizes": [size_text(size) for size in FRAME_SIZES],
    }
    publish(result("tiles", settings=settings, figures=figures, limits=limits), chosen)


if __name__ == "__main__":
    main()
