"""`crispstream inspect` on bundles, graphs, engines, and on what is none of them."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from crispstream.cli.inspect import inspect
from crispstream.core.bundle import CERTIFICATE, Bundle
from crispstream.core.bundle_writing import write_bundle
from crispstream.core.errors import BundleError, EngineError, UsageError
from crispstream.core.files import sha256_of
from crispstream.runtime.engine.building.options import BuildOptions
from crispstream.runtime.engine.models import find_model
from crispstream.runtime.engine.store.record import EngineRecord, write_engine
from tests.helpers.bundles import four_graphs, tiny_graphs, write_tiny_bundle
from tests.helpers.graphs import nearest_x4, small_net

app = typer.Typer()
app.command()(inspect)


def run(*arguments: object) -> str:
    """Run the command; return its standard output, raise what it raises."""
    words = [str(argument) for argument in arguments]
    result = CliRunner().invoke(app, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def facts_of(*arguments: object) -> dict[str, Any]:
    return dict(json.loads(run(*arguments, "--json")))


def test_a_bundle(tmp_path: Path) -> None:
    bundle = write_tiny_bundle(tmp_path / "tiny", tiny_graphs())
    facts = facts_of(bundle.path)
    assert (facts["kind"], facts["name"], facts["size_multiple"]) == ("bundle", "tiny", 4)
    assert [graph["precision"] for graph in facts["graphs"]] == ["fp32", "fp16"]
    shown = run(bundle.path)
    told = ("Apache-2.0", bundle.graphs[0].sha256[:12], "random weights", "8 px", "frame size")
    assert all(words in shown for words in told)


def test_whether_a_bundle_tells_of_its_layers(tmp_path: Path) -> None:
    older = write_tiny_bundle(tmp_path / "tiny", tiny_graphs())
    assert [graph["layers"] for graph in facts_of(older.path)["graphs"]] == [None, None]
    rows = [line.replace("│", " ").split() for line in run("edge-n").splitlines()]
    counts = [len(find_model("edge-n").layers_of(g).layers) for g in find_model("edge-n").graphs]
    assert ["layers", *map(str, counts)] in rows


def test_a_bundle_of_one_frame_size_that_looks_at_the_whole_frame(tmp_path: Path) -> None:
    graphs = {"fp32": nearest_x4(48, 64)}
    bundle = write_tiny_bundle(tmp_path / "tiny", graphs, halo_px=0, frame_size=(64, 48))
    shown = run(bundle.path)
    assert "the whole frame" in shown
    assert "64x48" in shown


def test_the_certificate_is_shown_by_graph(tmp_path: Path) -> None:
    figures = {"psnr_loss_db": 1.25, "tensors": list(range(20))}
    bundle = write_tiny_bundle(tmp_path / "tiny", tiny_graphs(), judged={"fp16": figures})
    facts = facts_of(bundle.path)
    told = facts["certificate"]["graphs"][bundle.graph("fp16").sha256]
    assert told.items() >= figures.items()
    assert {graph["precision"]: graph["certified"] for graph in facts["graphs"]} == {
        "fp32": False,
        "fp16": True,
    }
    table = run(bundle.path).partition("\ncertificate")[2]
    for words in ("fp16", "1.25", "yes"):
        assert words in table
    assert "tensors" not in table  # --json has it
    assert " fp32 " not in table


def test_the_main_figures_of_a_certificate_come_first(tmp_path: Path) -> None:
    figures = {
        "frames": 30,
        "ranges": {f"tensor_{number}": 1.0 for number in range(50)},
        "psnr_db": 28.5,
        "psnr_loss_db": 0.21,
        "reason": "0.21 dB lost",
        "passed": False,
    }
    bundle = write_tiny_bundle(
        tmp_path / "tiny",
        four_graphs(),
        certified=("fp16",),
        judged={"int8-cpu": figures, "int8": {"speed_over_fp32": 1.7}},
    )
    shown = run(bundle.path)
    certified = next(line for line in shown.splitlines() if " certified " in line)
    assert certified.split()[3::2] == ["no", "yes", "yes", "no"]
    table = shown.partition("\ncertificate")[2]
    names = ["judged by", "passed", "why not", "PSNR, dB", "PSNR lost", "speed"]
    places = [table.index(f" {name}") for name in names]
    assert places == sorted(places)
    assert "0.21" in table
    assert "tensor_7" not in table


@pytest.mark.parametrize(
    ("content", "words"), [(b"{", "certificate of bundle 'tiny' is malformed"), (b"[]", "no JSON")]
)
def test_a_malformed_certificate_is_one_sentence(
    tmp_path: Path, content: bytes, words: str
) -> None:
    bundle = with_certificate(tmp_path, content)
    with pytest.raises(BundleError, match=words):
        run(bundle.path)


def test_an_odd_certificate_is_shown_as_no_certificate(tmp_path: Path) -> None:
    bundle = with_certificate(tmp_path, b'{"graphs": [1, 2]}')
    assert not any(graph["certified"] for graph in facts_of(bundle.path)["graphs"])
    assert "\ncertificate" not in run(bundle.path)


def with_certificate(folder: Path, content: bytes) -> Bundle:
    plain = write_tiny_bundle(folder / "plain", tiny_graphs())
    payload = {f"{precision}.onnx": data for precision, data in tiny_graphs().items()}
    return write_bundle(folder / "tiny", plain, {**payload, CERTIFICATE: content})


def test_a_damaged_bundle_is_not_shown(tmp_path: Path) -> None:
    bundle = write_tiny_bundle(tmp_path / "tiny", tiny_graphs())
    (bundle.path / "fp16.onnx").write_bytes(b"changed")
    with pytest.raises(BundleError, match=r"fp16\.onnx"):
        run(bundle.path)


def test_a_graph_is_counted_at_the_asked_size(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(small_net(channels=8))
    facts = facts_of(path, "--size", "64x48")
    # By hand: two 3x3 convolutions (3 -> 8 -> 48) and the 1x1 base (3 -> 48), a pixel.
    assert facts["macs"] == 64 * 48 * (9 * 3 * 8 + 9 * 8 * 48 + 3 * 48)
    weights = 9 * 3 * 8 + 8 + 9 * 8 * 48 + 3 * 48 + 48
    assert facts["parameters"] == weights + 3  # 1/255 and the two ends of Clip
    assert facts["inputs"] == ["frame uint8 [1, height, width, 3]"]
    assert facts["outputs"] == ["restored uint8 [1, height_x4, width_x4, 3]"]
    assert facts["operators"]["Conv"] == 3
    assert facts["opset"] == 17
    assert "0.220 GMAC" in run(path)


def test_a_static_graph_is_counted_at_its_own_size(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(small_net(16, 32))
    assert facts_of(path, "--size", "640x480")["size"] == [32, 16]


def test_an_engine_with_its_sidecar(tmp_path: Path) -> None:
    engine = b"vtrt" + bytes(60)
    record = EngineRecord(
        bundle="tiny",
        graph_sha256="0" * 64,
        precision="fp16",
        flavour="tensorrt-rtx",
        flavour_version="1.7.1",
        options=BuildOptions.static((320, 180), (8, 6)).as_json(),
        gpu={},
        engine_sha256=sha256_of(engine),
        engine_bytes=len(engine),
        build_seconds=0.25,
        built_at="2026-11-21T18:00:00Z",
        crispstream_version="0.1.0",
        convolutions={"Half": 3, "Float": 1},
    )
    path = tmp_path / "a.engine"
    write_engine(path, engine, record)
    assert facts_of(path) == {
        "kind": "engine",
        "path": str(path),
        **json.loads(json.dumps(asdict(record))),
    }
    shown = run(path)
    rows = [" ".join(line.split()) for line in shown.splitlines()]
    for row in (
        "options.profiles │ 320x180",
        "options.compute capabilities │ 8.6",
        "options.workspace mib │ -",
        "convolutions.Half │ 3",
        "recheck │ not run",
        "gpu │ -",
    ):
        assert f"│ {row} │" in rows
    assert "{" not in shown
    path.write_bytes(engine + b"!")
    with pytest.raises(EngineError, match="build it again"):
        run(path)


def test_an_engine_without_sidecar_shows_its_header(tmp_path: Path) -> None:
    path = tmp_path / "a.engine"
    path.write_bytes(b"vtrt" + bytes(20) + bytes([1, 7, 1, 116]) + bytes(36))
    facts = facts_of(path)
    assert (facts["flavour_version"], facts["engine_bytes"]) == ("1.7.1.116", 64)
    assert "only its header could be read" in facts["note"]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("clip.mp4", b"\0\0\0 ftypisom", "neither an .onnx graph nor an engine"),
        ("short", b"vtrt", "neither an .onnx graph nor an engine"),
        ("junk.onnx", b"\xff\xff\xff", "not an ONNX graph"),
        ("empty.onnx", b"", "no ONNX graph in it"),
    ],
)
def test_what_is_none_of_them(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UsageError, match=words):
        run(path)


def test_a_name_that_is_too_long_is_one_sentence() -> None:
    with pytest.raises(UsageError, match=r"^x{300} cannot be read: File name too long; check"):
        run("x" * 300)


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no model"):
        run(tmp_path / "nothing")
