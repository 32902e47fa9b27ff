"""An engine that failed is put away with what shows it, and is told of ever after."""

import errno
import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from crispstream.core.bundle import StateTensor
from crispstream.core.errors import EngineError
from crispstream.runtime.engine.store import quarantine as quarantine_module
from crispstream.runtime.engine.store.key import EngineKey
from crispstream.runtime.engine.store.places import listed
from crispstream.runtime.engine.store.record import read_engine
from crispstream.runtime.engine.store.store import EngineStore
from tests.helpers.engines import ENGINE, made_up_record
from tests.helpers.pictures import soft_picture

RECORD = made_up_record()
KEY = EngineKey.of(RECORD)
FRAME = soft_picture(height=12, width=20)
PICTURES = {"frame": FRAME, "expected": soft_picture(1, 48, 80), "got": soft_picture(2, 48, 80)}
EVIDENCE = {"passed": False, "reason": "the frame dog is 21.0 dB from fp32", "psnr_to_fp32_db": 21}


@pytest.fixture
def store(tmp_path: Path) -> EngineStore:
    return EngineStore(tmp_path)


def put_away(store: EngineStore) -> Path:
    return store.quarantine(KEY, ENGINE, RECORD, EVIDENCE, PICTURES, b"the graph")


def test_the_folder_has_all_that_is_needed(store: EngineStore) -> None:
    folder = put_away(store)
    assert folder.parent == store.folder / "quarantine"
    assert read_engine(folder / f"{folder.name}.engine") == (ENGINE, RECORD)
    assert (folder / "graph.onnx").read_bytes() == b"the graph"
    for title, picture in PICTURES.items():
        np.testing.assert_array_equal(cv2.imread(str(folder / f"{title}.png")), picture)
    evidence = json.loads((folder / "evidence.json").read_bytes())
    assert {**evidence, **EVIDENCE} == evidence
    assert store.quarantined() == [folder]


def test_polygraphy_is_given_the_states_of_a_recurrent_network_too(tmp_path: Path) -> None:
    loaded = pytest.importorskip("polygraphy.json").load_json
    states = (StateTensor("memory", channels=8, divisor=2),)
    store = EngineStore(tmp_path)
    folder = store.quarantine(KEY, ENGINE, RECORD, EVIDENCE, PICTURES, b"the graph", states)
    (inputs,) = loaded(str(folder / "inputs.json"))
    assert set(inputs) == {"frame", "state_in_memory"}
    assert (inputs["state_in_memory"].shape, inputs["state_in_memory"].max()) == ((1, 8, 6, 10), 0)
    assert inputs["state_in_memory"].dtype == np.float16  # as in the fp16 graph
    command = json.loads((folder / "evidence.json").read_bytes())["compare"]
    assert "--trt-opt-shapes frame:[1,12,20,3] state_in_memory:[1,8,6,10] " in command


def test_polygraphy_can_read_the_frame_and_its_command_is_told(store: EngineStore) -> None:
    loaded = pytest.importorskip("polygraphy.json").load_json
    folder = put_away(store)
    (inputs,) = loaded(str(folder / "inputs.json"))
    np.testing.assert_array_equal(inputs["frame"], FRAME[None])
    command = json.loads((folder / "evidence.json").read_bytes())["compare"]
    assert command.startswith(
        "POLYGRAPHY_USE_TENSORRT_RTX=1 polygraphy run graph.onnx --trt --onnxrt"
    )
    assert "--trt-opt-shapes frame:[1,12,20,3]" in command
    assert "--load-inputs inputs.json" in command


def test_without_polygraphy_the_rest_is_written(
    store: EngineStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "polygraphy.json", None)
    folder = put_away(store)
    assert json.loads((folder / "evidence.json").read_bytes())["compare"] == ""
    assert not (folder / "inputs.json").exists()


def test_an_engine_in_the_store_is_moved_and_later_finds_tell(store: EngineStore) -> None:
    store.add(KEY, ENGINE, RECORD)
    folder = put_away(store)
    assert listed(store.engines) == []
    found = store.find(KEY)
    day = json.loads((folder / "evidence.json").read_bytes())["failed_at"][:10]
    assert found.engine is None
    assert found.why_not == f"an engine of this kind failed its re-check on {day}: see {folder}"
    assert found.quarantined == folder


def test_a_good_engine_of_the_same_key_is_found_all_the_same(store: EngineStore) -> None:
    put_away(store)
    store.add(KEY, ENGINE, RECORD)
    assert store.find(KEY).engine == ENGINE
    assert store.find(KEY).quarantined is None


def test_other_keys_know_nothing_of_it(store: EngineStore) -> None:
    put_away(store)
    other = EngineKey.of(made_up_record(flavour_version="1.8"))
    assert store.find(other).quarantined is None


def test_a_folder_without_evidence_is_told_too(store: EngineStore) -> None:
    folder = put_away(store)
    (folder / "evidence.json").write_text("{")
    assert "on an unknown day: see" in store.find(KEY).why_not


def test_a_full_disk_still_takes_the_engine_out_of_the_store(
    store: EngineStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.add(KEY, ENGINE, RECORD)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(quarantine_module, "write_folder_atomically", full)
    with pytest.raises(EngineError, match=r"evidence.*No space left on device"):
        put_away(store)
    assert store.find(KEY).engine is None
    assert store.quarantined() == []
