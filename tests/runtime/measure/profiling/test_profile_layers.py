"""Which way layers are timed, and what is refused."""

import numpy as np
import pytest

from crispstream.core.errors import BundleError, EngineError, UsageError
from crispstream.core.pixels import Bytes
from crispstream.runtime.engine.device import gpu as gpus
from crispstream.runtime.engine.models import find_model
from crispstream.runtime.measure.profiling.layers import profile_layers, why_not
from crispstream.runtime.measure.profiling.record import LayerProfile
from tests.helpers.bundles import write_tiny_bundle

FRAME = np.zeros((48, 64, 3), np.uint8)


def profile(
    backend: str = "onnxruntime", frames: tuple[Bytes, ...] = (FRAME,), rounds: int = 1
) -> LayerProfile:
    bundle = find_model("edge-n")
    return profile_layers(
        bundle,
        bundle.graph("fp32"),
        backend=backend,
        threads=1,
        width=64,
        height=48,
        frames=frames,
        rounds=rounds,
    )


@pytest.mark.parametrize("backend", ["onnxruntime", "onnxruntime-cpu"])
def test_a_cpu_is_profiled_by_onnx_runtime(backend: str) -> None:
    assert why_not(backend) == ""
    assert profile(backend).how.startswith("ONNX Runtime's profiler")


@pytest.mark.parametrize(
    ("backend", "words"),
    [
        ("bicubic", "bicubic is one computation"),
        ("onnxruntime-cuda", "to be enqueued, not to run"),
        ("coreml", "nothing tells what the layers of coreml take"),
    ],
)
def test_backends_that_cannot_tell_are_refused_with_the_reason(backend: str, words: str) -> None:
    assert words in why_not(backend)
    with pytest.raises(UsageError, match=f"{words}.*leave out the times of layers"):
        profile(backend)


def test_nothing_to_time_is_refused() -> None:
    with pytest.raises(UsageError, match="0 rounds over 1 frames time nothing"):
        profile(rounds=0)
    with pytest.raises(UsageError, match="1 rounds over 0 frames time nothing"):
        profile(frames=())


@pytest.mark.parametrize("flavour", ["tensorrt", "tensorrt-rtx"])
def test_without_a_gpu_its_absence_is_the_error(
    flavour: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpus, "find_gpu", lambda index=0: "there is no GPU here; plug one in")
    assert why_not(flavour) == ""
    with pytest.raises(EngineError, match="there is no GPU here"):
        profile(flavour)


def test_a_bundle_without_layers_is_refused(tmp_path) -> None:
    bundle = write_tiny_bundle(tmp_path / "tiny")
    with pytest.raises(BundleError, match=r"has no layers\.json"):
        profile_layers(
            bundle,
            bundle.graphs[0],
            backend="onnxruntime",
            threads=1,
            width=64,
            height=48,
            frames=[FRAME],
            rounds=1,
        )
