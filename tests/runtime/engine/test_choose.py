"""From a bundle and a wish to one of its graphs."""

from pathlib import Path

import pytest

from crispstream.core.bundle import CERTIFICATE
from crispstream.core.errors import BundleError, UsageError
from crispstream.runtime.engine import choose, models
from tests.helpers.bundles import four_graphs, tiny_graphs, write_tiny_bundle


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two bundles that stand for the shipped ones."""
    folder = tmp_path / "shipped"
    for name in ("edge-one", "edge-two"):
        write_tiny_bundle(folder / name, name=name)
    monkeypatch.setattr(models, "BUNDLES", folder)
    return folder


ALL = ("fp16", "int8", "int8-cpu")
FAST = {"int8-cpu": {"speed_over_fp32": 1.6}}


@pytest.mark.parametrize(
    ("backend", "precision", "expected"),
    [
        ("onnxruntime", "fp32", "fp32"),
        ("onnxruntime", "fp16", "fp16"),
        ("onnxruntime-cuda", "fp16", "fp16"),
        ("onnxruntime", "int8-cpu", "int8-cpu"),
        ("tensorrt-rtx", "fp32", "fp32"),
        ("tensorrt-rtx", "int8", "int8"),
        ("tensorrt", "int8", "int8"),
        # int8 is the form of the backend
        ("onnxruntime", "int8", "int8-cpu"),
    ],
)
def test_a_named_precision_is_taken(
    tmp_path: Path, backend: str, precision: str, expected: str
) -> None:
    bundle = write_tiny_bundle(tmp_path / "b", four_graphs(), certified=ALL)
    assert choose.choose_graph(bundle, precision, backend).precision == expected


@pytest.mark.parametrize(
    ("backend", "expected"),
    [
        ("onnxruntime", "int8-cpu"),
        ("onnxruntime-cuda", "fp32"),
        ("tensorrt-rtx", "fp16"),
        ("tensorrt", "fp16"),
    ],
)
def test_auto_takes_the_best_certified_graph(tmp_path: Path, backend: str, expected: str) -> None:
    bundle = write_tiny_bundle(tmp_path / "b", four_graphs(), certified=ALL, judged=FAST)
    assert choose.choose_graph(bundle, "auto", backend).precision == expected


@pytest.mark.parametrize("allowed", [False, True])
@pytest.mark.parametrize("backend", ["onnxruntime", "tensorrt-rtx", "tensorrt"])
@pytest.mark.parametrize("figures", [None, {"passed": False, "speed_over_fp32": 2.0}])
def test_auto_never_takes_what_is_not_certified(
    tmp_path: Path, backend: str, figures: dict[str, object] | None, allowed: bool
) -> None:
    judged = None if figures is None else dict.fromkeys(ALL, figures)
    bundle = write_tiny_bundle(tmp_path / "b", four_graphs(), judged=judged)
    assert choose.choose_graph(bundle, "auto", backend, allowed).precision == "fp32"


@pytest.mark.parametrize(
    ("backend", "certified", "expected"),
    [
        ("tensorrt", ALL, "int8"),
        ("tensorrt-rtx", ALL, "int8"),
        ("tensorrt", ("fp16",), "fp16"),  # faster, and not certified
        ("onnxruntime-cuda", ALL, "fp32"),
    ],
)
def test_auto_takes_certified_int8_that_a_bench_has_shown_to_be_faster(
    tmp_path: Path, backend: str, certified: tuple[str, ...], expected: str
) -> None:
    bundle = write_tiny_bundle(tmp_path / "b", four_graphs(), certified=certified)
    faster = [bundle.graph("int8").sha256]
    assert choose.choose_graph(bundle, "auto", backend, faster=faster).precision == expected
    assert choose.choose_graph(bundle, "fp32", backend, faster=faster).precision == "fp32"


@pytest.mark.parametrize(
    ("precision", "backend", "expected"),
    [
        ("auto", "onnxruntime", False),
        ("fp16", "tensorrt", False),
        ("int8", "onnxruntime", False),
        ("int8-cpu", "tensorrt", True),
        ("int8-cpu", "onnxruntime-cuda", True),
    ],
)
def test_what_a_bundle_lacks_for_a_backend(
    tmp_path: Path, precision: str, backend: str, expected: bool
) -> None:
    bundle = write_tiny_bundle(tmp_path / "b", four_graphs())
    assert choose.lacks(bundle, precision, backend) is expected
    small = write_tiny_bundle(tmp_path / "small")
    assert choose.lacks(small, precision, backend) is (precision != "auto")


@pytest.mark.parametrize("speed", [None, 1.0, 0.7, "fast", float("nan")])
def test_auto_takes_int8_on_the_cpu_only_where_it_was_faster(tmp_path: Path, speed: object) -> None:
    judged = {"int8-cpu": {"speed_over_fp32": speed}}
    bundle = write_tiny_bundle(tmp_path / "b", four_graphs(), judged=judged)
    assert choose.choose_graph(bundle, "auto", "onnxruntime").precision == "fp32"


def test_fp32_runs_without_any_certificate(tmp_path: Path) -> None:
    bundle = write_tiny_bundle(tmp_path / "b")
    assert choose.choose_graph(bundle, "auto", "tensorrt-rtx").precision == "fp32"
    assert choose.choose_graph(bundle, "fp32", "onnxruntime").precision == "fp32"


@pytest.mark.parametrize(
    ("precision", "backend"),
    [
        ("fp16", "onnxruntime"),
        ("fp16", "tensorrt-rtx"),
        ("int8", "tensorrt"),
        ("int8", "onnxruntime"),
    ],
)
def test_uncertified_graphs_run_only_where_that_is_allowed(
    tmp_path: Path, precision: str, backend: str
) -> None:
    bundle = write_tiny_bundle(tmp_path / "a bundle", four_graphs())
    advice = rf"never verified.*crispstream verify '{bundle.path}' -o NEW.*--allow-uncertified"
    with pytest.raises(UsageError, match=advice):
        choose.choose_graph(bundle, precision, backend)
    graph = choose.choose_graph(bundle, precision, backend, allow_uncertified=True)
    assert graph.precision.startswith(precision)


def test_a_shipped_bundle_is_verified_by_its_name(shipped: Path) -> None:
    write_tiny_bundle(shipped / "edge-three", tiny_graphs(), name="edge-three")
    with pytest.raises(UsageError, match="crispstream verify edge-three -o NEW"):
        choose.choose_graph(models.find_model("edge-three"), "fp16", "onnxruntime")


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        (
            "psnr_loss_db is 0.21, at most 0.1",
            r"verification \(psnr_loss_db is 0.21, at most 0.1\);",
        ),
        (None, "failed its verification; take --precision fp32"),
        (["odd"], "failed its verification; take --precision fp32"),
    ],
)
def test_a_graph_that_failed_says_by_what(tmp_path: Path, reason: object, words: str) -> None:
    judged = {"int8-cpu": {"passed": False, "reason": reason}}
    bundle = write_tiny_bundle(tmp_path / "b", four_graphs(), judged=judged)
    with pytest.raises(UsageError, match=words):
        choose.choose_graph(bundle, "int8", "onnxruntime")
    assert choose.choose_graph(bundle, "int8", "onnxruntime", allow_uncertified=True)


def test_a_damaged_certificate_is_told_and_auto_runs_fp32(tmp_path: Path) -> None:
    bundle = write_tiny_bundle(tmp_path / "b", four_graphs(), certified=ALL, judged=FAST)
    (bundle.path / CERTIFICATE).write_text("{")
    with pytest.raises(UsageError, match=r"cannot be shown.*certificate\.json.*copy the bundle"):
        choose.choose_graph(bundle, "int8-cpu", "onnxruntime")
    assert choose.choose_graph(bundle, "auto", "onnxruntime").precision == "fp32"


def test_refuses_a_precision_that_is_not_there_or_not_for_the_backend(tmp_path: Path) -> None:
    bundle = write_tiny_bundle(tmp_path / "b", tiny_graphs(), backends=("tensorrt-rtx",))
    with pytest.raises(BundleError, match="int8"):
        choose.choose_graph(bundle, "int8", "tensorrt-rtx")
    with pytest.raises(UsageError, match="made for tensorrt-rtx, not for onnxruntime"):
        choose.choose_graph(bundle, "fp16", "onnxruntime")


@pytest.mark.parametrize(
    ("precision", "backend", "words"),
    [
        (
            "int8-cpu",
            "tensorrt-rtx",
            "made for onnxruntime on the CPU, not for tensorrt-rtx; choose",
        ),
        ("int8-cpu", "onnxruntime-cuda", "on the CPU, not for onnxruntime-cuda; choose"),
        ("int8", "onnxruntime-cuda", "made for tensorrt-rtx, tensorrt, not for onnxruntime-cuda"),
    ],
)
def test_the_two_forms_of_int8_are_not_mixed_up(
    tmp_path: Path, precision: str, backend: str, words: str
) -> None:
    bundle = write_tiny_bundle(tmp_path / "b", four_graphs(), certified=ALL)
    with pytest.raises(UsageError, match=words):
        choose.choose_graph(bundle, precision, backend)


def test_int8_on_the_cpu_needs_the_form_for_cpus(tmp_path: Path) -> None:
    graphs = {
        precision: data for precision, data in four_graphs().items() if precision != "int8-cpu"
    }
    bundle = write_tiny_bundle(tmp_path / "b", graphs, certified=("fp16", "int8"))
    with pytest.raises(
        UsageError, match="int8 graph of tiny is made for tensorrt-rtx, tensorrt, not"
    ):
        choose.choose_graph(bundle, "int8", "onnxruntime")


@pytest.mark.parametrize(("wrong", "hint"), [("FP16", "did you mean 'fp16'"), ("tf32", "choose")])
def test_unknown_precisions_list_those_there_are(tmp_path: Path, wrong: str, hint: str) -> None:
    bundle = write_tiny_bundle(tmp_path / "b", tiny_graphs())
    with pytest.raises(UsageError, match=rf"{hint}.*auto, fp32, fp16, int8, int8-cpu"):
        choose.choose_graph(bundle, wrong, "onnxruntime")
