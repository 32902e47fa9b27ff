"""REDS with low-resolution blur (NTIRE 2021): what CNLRN (Bai et al., CVPRW 2021) learns from.

240 training and 30 validation sequences of 100 frames, blurred and reduced by their authors. It
reads the folders as REDS is downloaded, or as the released code of CNLRN keeps them. The test set,
Val300, is every tenth frame of the validation sequences: 9, 19, ... 99.
"""

from collections.abc import Callable
from pathlib import Path

from crispstream.core.layouts import LAYOUTS
from crispstream.core.pixels import SCALE

from .built import Array, Item, build_set
from .layout import Row, aligned, folders_in, read_twins, refuse_gaps

LAYOUT = LAYOUTS["reds"]
TRAIN = ("train/train_blur_bicubic/X4", "train/train_sharp_bicubic/X4", "train/train_sharp")
VAL = ("val/val_blur_bicubic/X4", "val/val_sharp")
CNLRN_TRAIN = (
    "train_240/blur_bicubic_X4",
    "train_240/sharp_bicubic_X4",
    "train_240/sharp",
)
CNLRN_VAL = ("Val300/blur_bicubic_X4", "Val300/sharp")
EVERY = 10
"""Of the validation frames, those whose number plus one divides by this are kept."""

Found = tuple[list[Row], list[Path]]
"""Rows of twins, and the paths that lack."""


def build(
    src: Path,
    dst: Path,
    *,
    workers: int = 1,
    progress: Callable[[str], None] | None = None,
) -> Path:
    """Make train shards lr, lr_sharp and hr (bytes, a frame each), and the test set.

    Raises:
        UsageError: if `src` has another layout, or `dst` holds something else.
        TrainError: if a frame is broken or `dst` cannot be written.
    """
    is_cnlrn = (src / "train_240").is_dir() or (src / "Val300").is_dir()
    train, lacking = _sequences(src, CNLRN_TRAIN if is_cnlrn else TRAIN)
    test, gaps = aligned([src / name for name in CNLRN_VAL]) if is_cnlrn else _val300(src)
    refuse_gaps(src, lacking + gaps, LAYOUT)
    items = [Item(f"train/{row[0].parent.name}/{row[0].stem}", row) for row in train]
    for row in test:
        name = row[0].stem if is_cnlrn else f"{row[0].parent.name}_{row[0].stem}"
        items.append(Item(f"test/{name}", row))
    return build_set("reds", items, make, {"every": EVERY}, dst, workers=workers, progress=progress)


def _sequences(src: Path, names: tuple[str, ...]) -> Found:
    """Return the frames of all sequences; a sequence must be in each of the folders `names`."""
    folders = [src / name for name in names]
    sequences = sorted({path.name for folder in folders for path in folders_in(folder)})
    rows, lacking = [], [] if sequences else [folders[0] / "000"]
    for sequence in sequences:
        found, gaps = aligned([folder / sequence for folder in folders])
        rows += found
        lacking += gaps
    return rows, lacking


def _val300(src: Path) -> Found:
    rows, lacking = _sequences(src, VAL)
    kept = [row for row in rows if row[0].stem.isdigit() and int(row[0].stem) % EVERY == EVERY - 1]
    if rows and not kept:
        lacking = [rows[0][0].with_name(f"{EVERY - 1:08d}.png")]
    return kept, lacking


def make(item: Item) -> dict[str, Array]:
    """Return the files of a frame, whose sources are blurred, reduced sharp (train), sharp."""
    lr, hr = read_twins(item.sources[0], item.sources[-1], SCALE)
    if item.name.startswith("test/"):
        name = item.name.removeprefix("test/")
        return {f"test/lr/{name}.png": lr, f"test/hr/{name}.png": hr}
    _, lr_sharp = read_twins(item.sources[0], item.sources[1])
    fields = {"lr": lr, "lr_sharp": lr_sharp, "hr": hr}
    return {f"{item.name}.{field}.npy": image[None] for field, image in fields.items()}
