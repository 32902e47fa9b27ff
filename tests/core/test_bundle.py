"""The bundle's contract: round trip, and every way a folder can be wrong."""

import json
from dataclasses import replace

import pytest

from crispstream.core.bundle import (
    CERTIFICATE,
    FP32_SHA256,
    VERIFICATION,
    Bundle,
    Graph,
    StateTensor,
)
from crispstream.core.bundle_writing import write_bundle
from crispstream.core.errors import BundleError, UsageError

PLAN = Bundle(
    name="toy",
    scale=4,
    size_multiple=4,
    halo_px=18,
    graphs=(Graph("fp32.onnx", "", "fp32", ("onnxruntime",), 17),),
    licence="CC-BY-4.0",
    states=(StateTensor("hidden", 16, 2),),
    training={"steps": 3},
)
PAYLOAD = {"fp32.onnx": b"graph", "check/a.png": b"picture", CERTIFICATE: b'{"graphs": {}}'}


@pytest.fixture
def bundle(tmp_path):
    return write_bundle(tmp_path / "toy", PLAN, PAYLOAD)


def rewrite(bundle, **changes):
    file = bundle.path / "bundle.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def test_round_trip(bundle):
    loaded = Bundle.load(bundle.path)
    assert loaded == bundle
    assert loaded.graph_bytes(loaded.graph("fp32")) == b"graph"
    assert loaded.check_frames() == ("check/a.png",)
    assert loaded.certificate() == {"graphs": {}}


def test_the_one_frame_size_is_kept_and_left_out_where_there_is_none(bundle, tmp_path):
    fixed = write_bundle(tmp_path / "fixed", replace(PLAN, frame_size=(64, 48)), PAYLOAD)
    assert Bundle.load(fixed.path) == fixed
    assert Bundle.load(fixed.path).frame_size == (64, 48)
    assert "frame_size" not in json.loads((bundle.path / "bundle.json").read_text())


@pytest.mark.parametrize("size", [[64], [64, 48, 4], [0, 48], [62, 48], ["64", "48"], 64, "64x48"])
def test_a_frame_size_that_is_none_is_malformed(bundle, size):
    rewrite(bundle, frame_size=size)
    with pytest.raises(BundleError, match="malformed"):
        Bundle.load(bundle.path)


def test_a_bundle_is_replaced_only_when_asked_and_only_a_bundle(bundle, tmp_path):
    with pytest.raises(UsageError, match="--overwrite"):
        write_bundle(bundle.path, PLAN, PAYLOAD)
    (tmp_path / "mine").mkdir()
    with pytest.raises(UsageError, match="is no bundle"):
        write_bundle(tmp_path / "mine", PLAN, PAYLOAD, overwrite=True)


def test_nothing_is_left_behind_when_writing_fails(tmp_path):
    with pytest.raises(BundleError, match="leads out"):
        write_bundle(tmp_path / "toy", PLAN, {**PAYLOAD, "../evil": b""})
    with pytest.raises(BundleError, match=r"no bytes were given for fp32\.onnx"):
        write_bundle(tmp_path / "toy", PLAN, {})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["fp32.onnx", "check/a.png"])
def test_one_changed_byte_is_noticed(bundle, name):
    (bundle.path / name).write_bytes(b"Graph")
    loaded = Bundle.load(bundle.path)
    read = {"fp32.onnx": lambda: loaded.graph_bytes(loaded.graph("fp32"))}
    with pytest.raises(BundleError, match="copy the bundle again"):
        read.get(name, lambda: loaded.file_bytes(name))()


def test_missing_things_are_named(bundle, tmp_path):
    (bundle.path / "fp32.onnx").unlink()
    with pytest.raises(BundleError, match=r"lacks its file 'fp32\.onnx'"):
        bundle.graph_bytes(bundle.graph("fp32"))
    with pytest.raises(BundleError, match="no int8 graph; it has fp32"):
        bundle.graph("int8")
    with pytest.raises(BundleError, match="names no file 'other'"):
        bundle.file_bytes("other")
    with pytest.raises(UsageError, match="no bundle at"):
        Bundle.load(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BundleError, match="crispstream export"):
        Bundle.load(tmp_path / "empty")


@pytest.mark.parametrize("escape", ["../secret", "/etc/passwd", "check/../../secret"])
def test_paths_that_leave_the_folder_are_refused(bundle, escape):
    rewrite(bundle, files={escape: "0" * 64})
    with pytest.raises(BundleError, match="leads out"):
        Bundle.load(bundle.path)


def test_a_link_that_leaves_the_folder_is_refused(bundle, tmp_path):
    (tmp_path / "secret").write_bytes(b"graph")
    (bundle.path / "fp32.onnx").unlink()
    (bundle.path / "fp32.onnx").symlink_to(tmp_path / "secret")
    with pytest.raises(BundleError, match="leads out"):
        Bundle.load(bundle.path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"schema": 99}', "schema 99, this kit reads up to 1"),
        ("{", "cannot read"),
        ("[]", "no schema number"),
        ('{"schema": 1}', "malformed"),
        ('{"schema": 1, "graphs": [], "name": "x", "colour": 1}', "malformed"),
    ],
)
def test_contracts_that_are_not(bundle, text, words):
    (bundle.path / "bundle.json").write_text(text)
    with pytest.raises(BundleError, match=words):
        Bundle.load(bundle.path)


def test_a_disk_that_refuses_leaves_the_old_bundle(bundle, monkeypatch):
    def full(self, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(BundleError, match=r"No space left on device.*nothing was changed"):
        write_bundle(bundle.path, PLAN, PAYLOAD, overwrite=True)
    assert Bundle.load(bundle.path).graph_bytes(bundle.graph("fp32")) == b"graph"
    assert [path.name for path in bundle.path.parent.iterdir()] == ["toy"]


def test_replacing_leaves_only_the_new_one(bundle):
    write_bundle(bundle.path, PLAN, {**PAYLOAD, "fp32.onnx": b"new"}, overwrite=True)
    loaded = Bundle.load(bundle.path)
    assert loaded.graph_bytes(loaded.graph("fp32")) == b"new"
    assert [path.name for path in bundle.path.parent.iterdir()] == ["toy"]
    assert not (bundle.path / ".replaced").exists()


@pytest.mark.parametrize(
    "wrong", [{"size_multiple": "4"}, {"size_multiple": 0}, {"scale": 2}, {"graphs": []}]
)
def test_contracts_no_runtime_could_keep_are_refused(bundle, wrong):
    rewrite(bundle, **wrong)
    with pytest.raises(BundleError, match="malformed"):
        Bundle.load(bundle.path)


PARITY = "parity with PyTorch"


def judged(tmp_path, precision, certificate):
    """A bundle of one graph, and its certificate as text or made from the entry of the graph."""
    graph = replace(PLAN.graphs[0], precision=precision)
    fp32 = replace(graph, precision="fp32", file="exact.onnx")
    payload = {**PAYLOAD, "exact.onnx": b"exact"}
    graphs = (graph,) if precision == "fp32" else (graph, fp32)
    plain = write_bundle(tmp_path / "plain", replace(PLAN, graphs=graphs), payload)
    if isinstance(certificate, dict) and certificate:
        certificate = {FP32_SHA256: plain.graph("fp32").sha256, **certificate}
    if not isinstance(certificate, bytes):
        told = {"graphs": {plain.graph(precision).sha256: certificate}}
        certificate = json.dumps(told).encode()
    return write_bundle(tmp_path / "judged", plain, {**payload, CERTIFICATE: certificate})


def test_a_certificate_beside_another_fp32_graph_certifies_nothing(tmp_path):
    entry = {"judged_by": VERIFICATION, "passed": True, FP32_SHA256: "5" * 64}
    bundle = judged(tmp_path, "int8", entry)
    assert not bundle.certified(bundle.graph("int8"))


@pytest.mark.parametrize(
    ("precision", "judged_by", "passed", "certified"),
    [
        ("fp32", PARITY, True, True),
        ("fp32", VERIFICATION, True, True),
        ("fp32", PARITY, False, False),
        ("fp16", PARITY, True, False),
        ("fp16", VERIFICATION, True, True),
        ("int8", VERIFICATION, True, True),
        ("int8-cpu", VERIFICATION, True, True),
        ("int8-cpu", VERIFICATION, False, False),
        ("int8-cpu", None, True, False),
        ("int8-cpu", VERIFICATION, "yes", False),
        ("int8-cpu", VERIFICATION, 1, False),
    ],
)
def test_a_graph_is_certified_by_what_its_precision_demands(
    tmp_path, precision, judged_by, passed, certified
):
    bundle = judged(tmp_path, precision, {"judged_by": judged_by, "passed": passed})
    assert bundle.certified(bundle.graph(precision)) is certified


@pytest.mark.parametrize("entry", [None, [], "passed", True, {}])
def test_an_odd_entry_certifies_nothing(tmp_path, entry):
    bundle = judged(tmp_path, "fp32", entry)
    assert bundle.certificate_of(bundle.graph("fp32")) == {}
    assert not bundle.certified(bundle.graph("fp32"))


@pytest.mark.parametrize("text", [b"{}", b'{"graphs": []}', b'{"graphs": null}'])
def test_a_certificate_without_graphs_certifies_nothing(tmp_path, text):
    bundle = judged(tmp_path, "fp32", text)
    assert not bundle.certified(bundle.graph("fp32"))


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"3", b"\xff\xfe\x00", b"[" * 100_000])
def test_a_malformed_certificate_certifies_nothing_and_is_told(tmp_path, text):
    bundle = judged(tmp_path, "fp32", text)
    assert not bundle.certified(bundle.graph("fp32"))
    with pytest.raises(BundleError, match=r"certificate of bundle 'toy' is malformed"):
        bundle.certificate()


def test_a_damaged_or_missing_certificate_certifies_nothing(tmp_path):
    bundle = judged(tmp_path, "fp32", {"judged_by": PARITY, "passed": True})
    assert bundle.certified(bundle.graph("fp32"))
    (bundle.path / CERTIFICATE).write_bytes(b"{}")
    assert not bundle.certified(bundle.graph("fp32"))
    (bundle.path / CERTIFICATE).unlink()
    assert not bundle.certified(bundle.graph("fp32"))
    with pytest.raises(BundleError, match="lacks its file"):
        bundle.certificate()
