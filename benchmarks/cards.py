"""Model cards: for each shipped model train/weights/NAME.md and its contact sheet NAME.jpg.

Written from the checkpoint (recipe, steps, data), from the network (cost), from the figures of
the suite in results/crisp_v1.json and from the words in cards_words.py. Needs the built suite
crisp-v1. Also renews SHA256SUMS, the list of the shipped weights: run it after replacing them.

    python benchmarks/crisp_v1.py --save
    python benchmarks/cards.py
"""

import argparse
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.cards_training import training
from benchmarks.cards_words import SEEN, WORDS
from benchmarks.common import RESULTS
from benchmarks.contact_sheet import jpeg, sheet
from crispstream.cli.evaluate_suite import default_folder
from crispstream.core.errors import UsageError
from crispstream.core.files import sha256_of, write_atomically
from crispstream.export.graph import ByteGraph, macs_per_lr_pixel
from crispstream.train.checkpoint import Checkpoint, load_checkpoint
from crispstream.train.models.edge import Edge
from crispstream.train.shipped import WEIGHTS, shipped_weights, write_sums
from crispstream.train.suite.reading import check_built
from crispstream.train.suite.suites import SUITES

SUITE = "crisp-v1"
LICENCE = "CC-BY-SA-4.0"
LR_SIZE = (320, 180)
ABOUT = {
    "motion-weak": "motion over 8 px of the truth",
    "motion-medium": "over 16 px",
    "motion-strong": "over 32 px",
    "noise-low": "16 px and noise, by day",
    "noise-high": "16 px and noise, dim room",
    "h264-low": "16 px and H.264, low rate",
    "h264-high": "16 px and H.264, high rate",
    "sharp": "no blur at all",
    "dark": "16 px, 4 stops too dark, noise",
    "bright": "16 px, 1 stop too bright, noise",
    "upscaled": "enlarged by 4 before",
    "real": "real blur: 240 fps averages and GOPRO pairs",
    "clips": "moving clips",
    "still": "still scenes with fresh noise",
}
"""Parts of the suite in the words of a card."""


def main() -> None:
    """Write the cards."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--suite", type=Path, help="where crisp-v1 is built; default: the cache")
    parser.add_argument("--model", action="append", help="of these only; may be repeated")
    chosen = parser.parse_args()
    folder = chosen.suite or default_folder(SUITE)
    check_built(SUITES.get(SUITE)(), folder, f"crispstream data build {SUITE} SRC {folder}")
    figures = suite_figures(RESULTS / "crisp_v1.json")
    for name in chosen.model or shipped_weights():
        path = WEIGHTS / f"{name}.safetensors"
        checkpoint, of_model = load_checkpoint(path), figures_of(figures, name, path)
        picture = jpeg(sheet(name, checkpoint.network(), folder, of_model))
        write_atomically(path.with_suffix(".jpg"), picture)
        text = card(name, checkpoint, path, of_model, figures)
        write_atomically(path.with_suffix(".md"), text.encode())
        print(f"wrote {path.with_suffix('.md')} and .jpg ({len(picture) // 1000} kB)")
    write_sums()


def suite_figures(path: Path) -> dict[str, Any]:
    """Return what is known of all models on the suite.

    Raises:
        UsageError: if it was never measured.
    """
    if not path.is_file():
        raise UsageError(f"'{path}' does not exist; measure: python benchmarks/crisp_v1.py --save")
    figures: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["figures"]
    return figures


def figures_of(figures: Mapping[str, Any], name: str, path: Path) -> dict[str, Any]:
    """Return the figures of one model, if they were measured of these very weights.

    Raises:
        UsageError: if they were not.
    """
    measured = figures["weights_sha256"].get(name)
    if measured != sha256_of(path.read_bytes()):
        raise UsageError(
            f"the figures of '{name}' are of other weights than '{path}'; measure again: "
            "python benchmarks/crisp_v1.py --save"
        )
    of_model: dict[str, Any] = figures["models"][name]
    return of_model


def card(
    name: str,
    checkpoint: Checkpoint,
    path: Path,
    of_model: Mapping[str, Any],
    figures: Mapping[str, Any],
) -> str:
    """Return the whole card."""
    words = WORDS[name]
    sections = {
        "Use": words.use,
        "Quality by degradation": _quality(name, of_model, figures),
        "Cost": _cost(checkpoint),
        "Contact sheet": _contact_sheet(name, path),
        "Limits": "\n".join(f"- {limit}" for limit in words.limits),
        "Training": training(checkpoint),
        "Data and licence": _data(checkpoint),
    }
    parts = [f"## {title}\n\n{text}\n" for title, text in sections.items()]
    return "\n".join([f"# {name}\n\n{words.what}\n", *parts])


def _quality(name: str, of_model: Mapping[str, Any], figures: Mapping[str, Any]) -> str:
    rows = "\n".join(_rows(of_model, figures["models"]["bicubic"]))
    return (
        f"The kit's own benchmark {SUITE}, `docs/benchmark.md`: sources that were never trained "
        "on. PSNR in dB on RGB bytes, no crop, mean over frames; worst is the frame with the "
        "smallest gain over bicubic.\n\n"
        f"| frames | count | bicubic | {name} | gain | worst | SSIM bicubic | SSIM {name} |\n"
        "|---|---|---|---|---|---|---|---|\n"
        f"{rows}\n\n{_steadiness(of_model, figures)}"
    )


def _rows(of_model: Mapping[str, Any], of_bicubic: Mapping[str, Any]) -> Iterator[str]:
    for part, about in ABOUT.items():
        ours, theirs = of_model[part], of_bicubic[part]
        yield (
            f"| {part}: {about} | {ours['frames']} | {theirs['psnr_db']:.2f} | "
            f"{ours['psnr_db']:.2f} | {ours['gain_db']:+.2f} | {ours['worst_gain_db']:+.2f} | "
            f"{theirs['ssim']:.3f} | {ours['ssim']:.3f} |"
        )


def _steadiness(of_model: Mapping[str, Any], figures: Mapping[str, Any]) -> str:
    """Say how steady restored video is; grey levels from frame to frame."""
    ours, theirs = of_model["summary"], figures["models"]["bicubic"]["summary"]
    floor = figures["truth"]["clips"]["warped_difference"]
    return (
        f"From frame to frame a pixel of a still scene under sensor noise changes by "
        f"{ours['flicker']:.2f} grey levels (bicubic {theirs['flicker']:.2f}), one that is "
        f"followed through a moving clip by {ours['warped_difference']:.2f} (bicubic "
        f"{theirs['warped_difference']:.2f}, the truth itself {floor:.2f})."
    )


def _cost(checkpoint: Checkpoint) -> str:
    network = checkpoint.network()
    assert isinstance(network, Edge), "only edge networks are shipped"
    macs = macs_per_lr_pixel(network)
    width, height = LR_SIZE
    view = f"{network.halo_px} LR pixels to each side" if network.halo_px else "the whole frame"
    states = getattr(network, "states", ())
    carried = "".join(
        f"| carried from frame to frame | {state.channels} channels at 1/{state.divisor} of LR |\n"
        for state in states
    )
    return (
        "| | |\n|---|---|\n"
        f"| multiply-accumulates, {width}x{height} to {4 * width}x{4 * height} | "
        f"{macs * width * height / 1e9:.2f} G ({macs:,} for each LR pixel) |\n"
        f"| parameters when deployed | {parameters(network) / 1e6:.3f} M |\n"
        f"| what an output pixel can see | {view} |\n"
        f"| sides are padded to a multiple of | {network.size_multiple} |\n{carried}\n"
        "Speeds are of devices: `crispstream bench` measures yours, `crispstream plan` predicts."
    )


def parameters(network: Edge) -> int:
    """Return how many numbers the deployed body holds, without what only a training uses."""
    named = ByteGraph(network, "fp32").body.named_parameters()
    return sum(tensor.numel() for name, tensor in named if not name.startswith("deblur."))


def _contact_sheet(name: str, path: Path) -> str:
    seen, digest = SEEN.get(name), sha256_of(path.read_bytes())
    text = seen.text if seen and digest.startswith(seen.sha256) else "Nobody has looked at it yet."
    return (
        f"![frames enlarged by bicubic, restored, and the truth]({path.stem}.jpg)\n\n"
        "Crops of 200x200 pixels of the restored frame: bicubic, the model, the truth. The figures "
        "are the PSNR of the crop under bicubic and the model's gain. The last two are the worst "
        f"single frames of two parts; clips are not among them. What is seen: {text}"
    )


def _data(checkpoint: Checkpoint) -> str:
    names = checkpoint.data
    clips = sum(name.endswith((".mp4", ".mov", ".mkv")) for name in names)
    pairs = sum(name.startswith("GOPR") and name.endswith(".png") for name in names)
    stills = len(names) - clips - pairs
    return (
        f"{stills} stills, {clips} clips and {pairs} pairs of the GOPRO data set, listed with "
        "sources and licences in `train/weights/DATA.md`; all are freely licensed. Held out for "
        "judging: `HELD_OUT` in `train/recipes/edge.py`, of which the benchmark and the contact "
        f"sheet are made. Some of the pictures are under CC BY-SA 4.0, so these weights are under "
        f"{LICENCE} too. GOPRO: S. Nah, T. H. Kim, K. M. Lee, CVPR 2017, CC BY 4.0."
    )


if __name__ == "__main__":
    main()
