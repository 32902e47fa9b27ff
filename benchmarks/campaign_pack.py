"""Packs: a part of a pool, frames to judge on and starting weights in one file of limited size.

A borrowed GPU often has neither the media nor what decodes them, and little may be sent there. A
pack is a zip file; unpacked it is a pool again, which `crispstream.train` takes as it is:

    pack.zip                       unpacked
      pack.json                      pool.json     what it holds, and of which files
      crops/000042.png, .jpg         lr.npy hr.npy
      judge/PART.NN.lr.png, .hr.png  judge/lr/ judge/hr/
      start.safetensors              start.safetensors

What the network sees is kept as it is (PNG). Truth is JPEG without chroma subsampling: measured on
120 crops of 256 px of the first pool, 82 KB as PNG, 58 KB as lossless WebP, 38 / 26 / 20 KB as JPEG
of quality 98 / 95 / 92, at 48.5 / 45.1 / 43.3 dB (median; worst 45.4 / 40.1 / 37.3). Networks are
at 25 to 30 dB, so an error of 45 dB in the truth is 1 to 3 % of theirs, and twice as many crops fit
as with lossless files. Frames to judge on are lossless.
"""

import io
import json
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from crispstream.core.errors import TrainError, UsageError
from crispstream.core.files import write_atomically, write_json_atomically
from crispstream.core.pixels import Bytes
from crispstream.train.data.pool import WHOLE, open_pool

FORMAT = 1
ABOUT, START = "pack.json", "start.safetensors"
JUDGE = "judge"
TRUTH_QUALITY = 95
MEBIBYTE = 2**20
_ROOM_FOR_NAMES = 256
"""What the zip file takes for an entry beside its bytes, both of its headers, at most."""


@dataclass(frozen=True)
class Packed:
    """What went into a pack."""

    crops: int
    crops_of_pool: int
    size_bytes: int


def pack(
    pool: Path,
    target: Path,
    *,
    max_bytes: int,
    judge: Path | None = None,
    start: Path | None = None,
    seed: int = 1,
    quality: int = TRUTH_QUALITY,
) -> Packed:
    """Write as many crops of `pool` as fit into `max_bytes` together with all the rest.

    Which crops is drawn from the seed: another pack may have others. `judge` is a folder of
    lr/ and hr/, `start` a checkpoint.

    Raises:
        UsageError: if not even a hundredth of the pool fits.
    """
    lr, hr = open_pool(pool)
    about = json.loads((pool / WHOLE).read_text(encoding="utf-8"))
    order = np.random.default_rng(seed).permutation(len(lr))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as file:
        for name, content in _extras(judge, start):
            file.writestr(name, content)
        left = max_bytes - buffer.tell() - _directory_bytes(file) - 4 * _ROOM_FOR_NAMES
        left -= len(json.dumps(about))
        crops = 0
        for number in order:
            entries = _crop_entries(crops, lr[number], hr[number], quality)
            left -= sum(len(content) + _ROOM_FOR_NAMES for _, content in entries)
            if left < 0:
                break
            for name, content in entries:
                file.writestr(name, content)
            crops += 1
        if crops * 100 < len(lr):
            raise UsageError(
                f"{max_bytes / MEBIBYTE:.1f} MiB hold {crops} of {len(lr)} crops beside the frames "
                "to judge on and the weights, too few to learn from; allow more with --pack-mb"
            )
        told = {**about, "format": FORMAT, "pairs": crops, "of": len(lr), "quality": quality}
        file.writestr(ABOUT, json.dumps(told))
    write_atomically(target, buffer.getvalue())
    return Packed(crops, len(lr), target.stat().st_size)


def _directory_bytes(file: zipfile.ZipFile) -> int:
    return len(file.infolist()) * _ROOM_FOR_NAMES


def _extras(judge: Path | None, start: Path | None) -> Iterator[tuple[str, bytes]]:
    if start is not None:
        yield START, start.read_bytes()
    for side in ("lr", "hr") if judge is not None else ():
        for path in sorted((judge / side).glob("*.png")):  # type: ignore[operator]
            yield f"{JUDGE}/{path.stem}.{side}.png", path.read_bytes()


def _crop_entries(number: int, lr: Bytes, hr: Bytes, quality: int) -> list[tuple[str, bytes]]:
    name = f"crops/{number:06d}"
    return [(f"{name}.png", png(lr)), (f"{name}.jpg", _jpeg(hr, quality))]


def png(picture_hwc: Bytes) -> bytes:
    """Return the picture [H,W,3] as a PNG file, small rather than soon."""
    return bytes(cv2.imencode(".png", picture_hwc, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1])


def _jpeg(picture_hwc: Bytes, quality: int) -> bytes:
    whole_chroma = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    settings = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_OPTIMIZE, 1, *whole_chroma]
    return bytes(cv2.imencode(".jpg", picture_hwc, settings)[1])


def unpack(path: Path, folder: Path) -> Path:
    """Turn a pack into a pool in `folder`, and return it; one that is there is kept.

    Raises:
        UsageError: if `path` is not there.
        TrainError: if it is no pack of this form.
    """
    if (folder / WHOLE).is_file():
        return folder
    if not path.is_file():
        raise UsageError(f"the pack '{path}' does not exist; make it with --pack")
    try:
        with zipfile.ZipFile(path) as file:
            about = _about(path, json.loads(file.read(ABOUT)))
            folder.mkdir(parents=True, exist_ok=True)
            _write_crops(file, about["pairs"], folder)
            _write_extras(file, folder)
    except (zipfile.BadZipFile, KeyError, ValueError) as error:
        raise TrainError(f"'{path}' is not a pack ({error}); make it again with --pack") from error
    write_json_atomically(folder / WHOLE, about)  # last: where it is, the pool is whole
    return folder


def _about(path: Path, about: dict[str, Any]) -> dict[str, Any]:
    if about.get("format") != FORMAT:
        raise TrainError(
            f"'{path}' is a pack of format {about.get('format')}, expected {FORMAT}; make it again"
        )
    return about


def _write_crops(file: zipfile.ZipFile, count: int, folder: Path) -> None:
    """Write lr.npy and hr.npy [N,S,S,3] a crop at a time."""
    for field, suffix in (("lr", "png"), ("hr", "jpg")):
        shape = _picture(file.read(f"crops/000000.{suffix}")).shape
        held = np.lib.format.open_memmap(
            folder / f"{field}.npy", "w+", np.uint8, (count, *shape), version=(1, 0)
        )
        for number in range(count):
            held[number] = _picture(file.read(f"crops/{number:06d}.{suffix}"))
        held.flush()


def _write_extras(file: zipfile.ZipFile, folder: Path) -> None:
    for name in file.namelist():
        if name == START:
            write_atomically(folder / START, file.read(name))
        elif name.startswith(f"{JUDGE}/"):
            stem, side, _ = Path(name).name.rsplit(".", 2)
            place = folder / JUDGE / side / f"{stem}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(place, file.read(name))


def _picture(content: bytes) -> Bytes:
    decoded = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    if decoded is None:
        raise ValueError("a crop cannot be decoded")
    return np.asarray(decoded, np.uint8)


def is_pool(folders: Sequence[Path]) -> bool:
    """Tell whether the data is one pool that was unpacked or built, not media."""
    return len(folders) == 1 and (folders[0] / WHOLE).is_file()
