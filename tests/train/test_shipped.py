"""Shipped weights by name: found, checked, and what is said where there are none."""

from pathlib import Path

import pytest

from crispstream.core.errors import TrainError, UsageError
from crispstream.train.shipped import (
    SUMS,
    WEIGHTS,
    read_sums,
    shipped_weights,
    starting_weights,
    write_sums,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two shipped files that hold a few bytes, with their list."""
    for name in ("edge-n", "edge-s"):
        (tmp_path / f"{name}.safetensors").write_bytes(name.encode())
    (tmp_path / "edge-n.md").write_text("a card")
    write_sums(tmp_path)
    return tmp_path


def test_the_list_is_that_of_the_weights_on_disk(tmp_path: Path) -> None:
    """New weights need a new list: python benchmarks/cards.py, or sha256sum > SHA256SUMS."""
    for name in shipped_weights():
        assert starting_weights(name) == WEIGHTS / f"{name}.safetensors"
    assert sorted(read_sums()) == [f"{name}.safetensors" for name in shipped_weights()]


def test_a_name_is_the_shipped_file(folder: Path) -> None:
    assert shipped_weights(folder) == ["edge-n", "edge-s"]
    assert starting_weights("edge-s", folder) == folder / "edge-s.safetensors"


def test_the_list_is_in_the_form_of_sha256sum(folder: Path) -> None:
    first = (folder / SUMS).read_text().splitlines()[0]
    digest, name = first.split("  ")
    assert (len(digest), name) == (64, "edge-n.safetensors")


@pytest.mark.parametrize("harm", ["changed", "unlisted", "no list"])
def test_a_file_that_is_not_the_shipped_one_is_refused(folder: Path, harm: str) -> None:
    if harm == "changed":
        (folder / "edge-s.safetensors").write_bytes(b"half a downl")
    elif harm == "unlisted":
        (folder / SUMS).write_text(f"{'0' * 64}  edge-n.safetensors\n")
    else:
        (folder / SUMS).unlink()
    with pytest.raises(TrainError, match=r"SHA-256 starts .* install the kit again"):
        starting_weights("edge-s", folder)


def test_paths_are_left_to_the_loader(folder: Path) -> None:
    for given in ("runs/mine/edge-s.safetensors", "./edge-s", "mine.safetensors"):
        assert starting_weights(given, folder) == Path(given)


def test_a_name_that_is_not_shipped_is_asked_back(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"did you mean 'edge-s'\? shipped: edge-n, edge-s;"):
        starting_weights("edges", folder)


def test_a_folder_is_answered_with_the_file_in_it(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"--from .*edge-n\.safetensors"):
        starting_weights(str(folder), folder)
    (folder / "bundle").mkdir()
    with pytest.raises(UsageError, match="a bundle's graphs cannot be trained"):
        starting_weights(str(folder / "bundle"), folder)
