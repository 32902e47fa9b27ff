"""The weights that come with the kit, by name: where a fine-tuning begins.

`SHA256SUMS` beside them is the list that `sha256sum -c` reads too. A file that differs from it is
never used: half a download or another version's weights would train, and only look worse.
"""

from pathlib import Path

from crispstream.core.errors import TrainError, UsageError
from crispstream.core.files import sha256_of, write_atomically
from crispstream.core.registry import did_you_mean

WEIGHTS = Path(__file__).parent / "weights"
"""Folder of the shipped weights, package data."""

SUMS = "SHA256SUMS"
SUFFIX = ".safetensors"


def shipped_weights(folder: Path = WEIGHTS) -> list[str]:
    """Return the names of the models whose weights are shipped, sorted."""
    return sorted(path.stem for path in folder.glob(f"*{SUFFIX}"))


def starting_weights(given: str, folder: Path = WEIGHTS) -> Path:
    """Return the checkpoint that `given` means: a shipped name, checked by its hash, or a path.

    A shipped name wins over a file of the same name; "./edge-n" is the file.

    Raises:
        UsageError: if there is neither; the message names what may be meant.
        TrainError: if a shipped file is not the one that the kit was made with.
    """
    names = shipped_weights(folder)
    if given in names:
        return _checked(folder, f"{given}{SUFFIX}")
    path = Path(given)
    if path.is_dir():
        raise UsageError(_no_file(path))
    if not path.exists() and path.name == given and not path.suffix:
        raise UsageError(
            f"there are no shipped weights '{given}', and no such file; "
            f"{did_you_mean(given, names)}shipped: {', '.join(names)}; "
            f"a checkpoint of yours is named by its path, runs/mine/edge-s{SUFFIX}"
        )
    return path


def _checked(folder: Path, name: str) -> Path:
    path = folder / name
    expected, seen = read_sums(folder).get(name, "none"), sha256_of(path.read_bytes())
    if seen != expected:
        raise TrainError(
            f"'{path}' is not the file that this version of the kit was made with (its SHA-256 "
            f"starts {seen[:12]}, expected {expected[:12]}); install the kit again, or name it by "
            "its path if the change is yours"
        )
    return path


def _no_file(folder: Path) -> str:
    """Say which file of a folder may be meant: a run's checkpoint; a bundle has none."""
    found = sorted(folder.glob(f"*{SUFFIX}"))
    if found:
        return f"'{folder}' is a folder; start from the checkpoint in it: --from {found[0]}"
    return (
        f"'{folder}' is a folder without a checkpoint; a bundle's graphs cannot be trained: start "
        f"from the {SUFFIX} file that it was exported from"
    )


def read_sums(folder: Path = WEIGHTS) -> dict[str, str]:
    """Return the expected SHA-256 of each file by its name; {} where there is no list."""
    try:
        lines = (folder / SUMS).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return {}
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines)}


def write_sums(folder: Path = WEIGHTS) -> None:
    """Write the list anew: whoever replaces shipped weights says so here.

    Raises:
        OSError: if the folder cannot be written.
    """
    names = [f"{name}{SUFFIX}" for name in shipped_weights(folder)]
    lines = [f"{sha256_of((folder / name).read_bytes())}  {name}\n" for name in names]
    write_atomically(folder / SUMS, "".join(lines).encode())
