"""The re-check passes what computes the graph and names what does not."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from crispstream.core.bundle import Bundle
from crispstream.core.bundle_writing import write_bundle
from crispstream.core.errors import BundleError
from crispstream.core.pixels import Bytes
from crispstream.core.sizes import SizeRange
from crispstream.runtime.engine.backends.base import Backend
from crispstream.runtime.engine.backends.bicubic import BicubicBackend
from crispstream.runtime.engine.backends.onnxruntime import OnnxRuntimeBackend
from crispstream.runtime.engine.models import find_model
from crispstream.runtime.engine.trust.recheck import LIMITS, Recheck, limits_of, recheck
from tests.helpers.bundles import write_tiny_bundle
from tests.helpers.graphs import nearest_x4

SMALL = (96, 64)


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return find_model("edge-n")


def engine(bundle: Bundle, precision: str) -> OnnxRuntimeBackend:
    """Return a graph on ONNX Runtime, in the place of an engine."""
    graph_bytes = bundle.graph_bytes(bundle.graph(precision))
    return OnnxRuntimeBackend(graph_bytes, precision=precision, threads=1)


class BrokenBackend(OnnxRuntimeBackend):
    """A fake engine: the real graph, and a fault in what is read back."""

    def __init__(self, bundle: Bundle, precision: str, fault: Callable[[Bytes], Bytes]) -> None:
        graph_bytes = bundle.graph_bytes(bundle.graph(precision))
        super().__init__(graph_bytes, precision=precision, threads=1)
        self._fault = fault

    def restored(self, slot: int) -> Bytes:
        return self._fault(super().restored(slot))


def checked_with(fault: Callable[[Bytes], Bytes], bundle: Bundle, precision: str) -> Recheck:
    backend = BrokenBackend(bundle, precision, fault)
    return recheck(bundle, bundle.graph(precision), backend, SMALL)


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8", "int8-cpu"])
@pytest.mark.parametrize("name", ["edge-n", "edge-s"])
def test_the_shipped_graphs_pass(name: str, precision: str) -> None:
    shipped = find_model(name)
    verdict = recheck(shipped, shipped.graph(precision), engine(shipped, precision), SMALL)
    assert verdict.reason == ""
    assert verdict.passed
    figures = verdict.figures
    assert (figures["size"], figures["frames"], figures["repeatable"]) == ("96x64", 4, True)
    if precision == "fp32":
        assert figures["psnr_to_fp32_db"] is None
        assert figures["largest_levels"] == figures["changed_share"] == 0
    else:
        assert figures["psnr_to_fp32_db"] > LIMITS[precision].psnr_db + 5
        assert figures["largest_levels"] >= 1


def noisy(sigma: float) -> Callable[[Bytes], Bytes]:
    def fault(made: Bytes) -> Bytes:
        noise = np.random.default_rng(0).normal(0, sigma, made.shape)
        return np.clip(made + noise.round(), 0, 255).astype(np.uint8)

    return fault


def one_level_up(made: Bytes) -> Bytes:
    return np.where(made < 255, made + 1, made).astype(np.uint8)


def black_square(made: Bytes) -> Bytes:
    broken = made.copy()
    broken[100:116, 100:116] = 0
    return broken


def some_bytes_one_level_up(made: Bytes) -> Bytes:
    broken = made.copy()
    broken[::20, ::10] ^= 1  # 0.5 % of the bytes, as TF32 changes
    return broken


FAULTS: dict[str, tuple[Callable[[Bytes], Bytes], str]] = {
    "black": (np.zeros_like, "came out as one colour, 0 in every byte"),
    "grey": (lambda made: np.full_like(made, 128), "came out as one colour, 128"),
    "saturated": (lambda made: np.where(made > 127, 255, 0).astype(np.uint8), "dB from fp32"),
    "red for blue": (lambda made: made[..., ::-1], "dB from fp32"),
    "shifted right": (lambda made: np.roll(made, 1, axis=1), "dB from fp32"),
    "shifted down": (lambda made: np.roll(made, 1, axis=0), "dB from fp32"),
    "upside down": (lambda made: made[::-1], "dB from fp32"),
    "noise": (noisy(3), "dB from fp32"),
    "one square": (black_square, "from fp32"),
}


@pytest.mark.parametrize("precision", ["fp16", "int8", "int8-cpu"])
@pytest.mark.parametrize("fault", FAULTS)
def test_broken_engines_fail(bundle: Bundle, precision: str, fault: str) -> None:
    break_it, words = FAULTS[fault]
    verdict = checked_with(break_it, bundle, precision)
    assert not verdict.passed
    assert words in verdict.reason


@pytest.mark.parametrize(
    ("precision", "words"), [("fp16", "dB from fp32"), ("int8", "the mean of")]
)
def test_a_level_too_much_everywhere_fails(bundle: Bundle, precision: str, words: str) -> None:
    verdict = checked_with(one_level_up, bundle, precision)
    assert not verdict.passed
    assert words in verdict.reason


def test_fp32_with_the_inexactness_of_tf32_fails(bundle: Bundle) -> None:
    verdict = checked_with(some_bytes_one_level_up, bundle, "fp32")
    assert not verdict.passed
    assert "differs from fp32, at most 0.10% is expected" in verdict.reason
    assert checked_with(some_bytes_one_level_up, bundle, "fp16").passed


def test_a_single_byte_far_off_fails(bundle: Bundle) -> None:
    def fault(made: Bytes) -> Bytes:
        broken = made.copy()
        broken[50, 60, 1] ^= 128
        return broken

    verdict = checked_with(fault, bundle, "fp16")
    assert "a byte of the frame" in verdict.reason
    assert "128 levels from fp32, at most 8" in verdict.reason


class LateBackend(OnnxRuntimeBackend):
    """A fake engine that gives the frame before: a copy that does not wait for its kernel."""

    def submit(self, slot: int) -> None:
        newest = self.frame(slot).copy()
        np.copyto(self.frame(slot), getattr(self, "_before", np.zeros_like(newest)))
        self._before = newest
        super().submit(slot)


class StaleBackend(OnnxRuntimeBackend):
    """A fake engine that replays its first frame for ever."""

    def submit(self, slot: int) -> None:
        self._first = getattr(self, "_first", self.frame(slot).copy())
        np.copyto(self.frame(slot), self._first)
        super().submit(slot)


class MixedSlotsBackend(OnnxRuntimeBackend):
    """A fake engine whose frames in flight share one output buffer."""

    def restored(self, slot: int) -> Bytes:
        return super().restored(1)


@pytest.mark.parametrize("kind", [LateBackend, StaleBackend, MixedSlotsBackend])
def test_other_frames_than_those_sent_fail(bundle: Bundle, kind: type[OnnxRuntimeBackend]) -> None:
    graph = bundle.graph("fp16")
    backend = kind(bundle.graph_bytes(graph), precision="fp16", threads=1)
    verdict = recheck(bundle, graph, backend, SMALL)
    assert not verdict.passed
    assert "dB from fp32" in verdict.reason or "one colour" in verdict.reason


def test_an_engine_that_changes_from_run_to_run_fails(bundle: Bundle) -> None:
    calls = []

    def fault(made: Bytes) -> Bytes:
        calls.append(1)
        broken = made.copy()
        broken[0, 0, 0] ^= len(calls) > 4  # the four frames come twice
        return broken

    verdict = checked_with(fault, bundle, "fp16")
    assert not verdict.passed
    assert verdict.reason == "the same frame, dog, came out with other bytes the second time"
    assert verdict.figures["repeatable"] is False


def test_the_evidence_is_the_worst_frame(bundle: Bundle) -> None:
    calls = []

    def fault(made: Bytes) -> Bytes:
        calls.append(1)
        return np.zeros_like(made) if len(calls) % 4 == 2 else made

    verdict = checked_with(fault, bundle, "fp16")
    assert "the frame drone came out as one colour" in verdict.reason
    assert verdict.figures["worst_frame"] == "drone"
    assert verdict.worst["got"].max() == 0
    assert verdict.worst["expected"].max() > 0
    assert [verdict.worst[name].shape for name in ("frame", "expected", "got")] == [
        (64, 96, 3),
        (256, 384, 3),
        (256, 384, 3),
    ]


def test_the_verdict_is_json(bundle: Bundle) -> None:
    verdict = recheck(bundle, bundle.graph("fp32"), engine(bundle, "fp32"), SMALL)
    told = json.loads(json.dumps(verdict.as_json(), allow_nan=False))
    assert told["passed"] is True
    assert set(told["drift_levels"]) == {"blue", "green", "red"}
    assert told["limits"]["largest_levels"] == 1


def test_frames_are_cut_or_mirrored_to_the_best_size(bundle: Bundle) -> None:
    graph = bundle.graph("int8-cpu")
    backend = engine(bundle, "int8-cpu")
    sizes = SizeRange((32, 32), (336, 48), (640, 640))
    verdict = recheck(bundle, graph, backend, sizes)
    assert verdict.passed, verdict.reason
    assert verdict.figures["size"] == "336x48"
    frame = verdict.worst["frame"]
    assert frame.shape == (48, 336, 3)
    np.testing.assert_array_equal(frame[:, 320:], frame[:, 303:319][:, ::-1])


class SpyBackend(BicubicBackend):
    """A backend that notes what is asked of it."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def reset(self) -> None:
        self.asked.append("reset")

    def submit(self, slot: int) -> None:
        self.asked.append(f"submit {slot}")
        super().submit(slot)

    def wait(self, slot: int) -> None:
        self.asked.append(f"wait {slot}")
        super().wait(slot)

    def close(self) -> None:
        self.asked.append("close")


def test_two_frames_are_in_flight_and_each_round_starts_without_state(bundle: Bundle) -> None:
    spy, reference = SpyBackend(), SpyBackend()
    verdict = recheck(bundle, bundle.graph("fp32"), spy, SMALL, reference=reference)
    assert verdict.passed
    pair = ["submit 0", "submit 1", "wait 0", "wait 1"]
    assert reference.asked == ["reset", *pair, *pair]  # what is lent is not closed
    assert spy.asked == ["reset", *pair, *pair] * 2


def test_the_limit_of_int8_is_that_of_its_certificate(bundle: Bundle) -> None:
    graph = bundle.graph("int8")
    certified_db = bundle.certificate_of(graph)["psnr_to_fp32_db"]
    assert limits_of(bundle, graph).psnr_db == pytest.approx(certified_db - 8)
    assert limits_of(bundle, graph).largest_levels == LIMITS["int8"].largest_levels
    assert limits_of(bundle, bundle.graph("fp16")) == LIMITS["fp16"]
    uncertified = replace(bundle, files={})
    assert limits_of(uncertified, graph) == LIMITS["int8"]


def test_a_bundle_without_check_frames_cannot_be_checked(tmp_path: Path) -> None:
    tiny = write_tiny_bundle(tmp_path / "tiny")
    backend: Backend = OnnxRuntimeBackend(nearest_x4(), precision="fp32", threads=1)
    with pytest.raises(BundleError, match="has no check frames"):
        recheck(tiny, tiny.graph("fp32"), backend, SMALL)


def test_a_check_frame_that_is_no_picture_is_refused(tmp_path: Path) -> None:
    tiny = write_tiny_bundle(tmp_path / "tiny")
    payload = {"fp32.onnx": nearest_x4(), "check/a.png": b"no picture"}
    odd = write_bundle(tmp_path / "odd", tiny, payload)
    backend = OnnxRuntimeBackend(nearest_x4(), precision="fp32", threads=1)
    with pytest.raises(BundleError, match="is no picture"):
        recheck(odd, odd.graph("fp32"), backend, SMALL)
