"""What calibration takes, in small; its cache and its clock are kept to each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from crispstream.calib.certify import verify
from crispstream.calib.certify.pairs import Pairs, read_pairs
from crispstream.calib.collect.sets import CalibrationSet
from crispstream.core.bundle import Bundle
from tests.helpers.sets import write_pairs, write_set, write_source


@pytest.fixture(autouse=True)
def cache_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder that this test alone has for its cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module", autouse=True)
def small_frames_for_speed() -> Iterator[None]:
    """Time graphs on small frames: no test looks at how fast they are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verify, "SPEED_SIZE", (32, 24))
        yield


@pytest.fixture
def source(tmp_path: Path) -> Bundle:
    """Return a bundle of the tiny network in fp32 and fp16."""
    return write_source(tmp_path / "tiny")


@pytest.fixture
def frames(tmp_path: Path) -> CalibrationSet:
    """Return a calibration set of three pictures, 40x32 px."""
    return write_set(tmp_path / "set")


@pytest.fixture(scope="session")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Pairs:
    """Return two LR/HR pairs, 32x24 px in LR."""
    return read_pairs(write_pairs(tmp_path_factory.mktemp("pairs") / "pairs"))
