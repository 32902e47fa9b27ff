"""The life of engines on a real GPU: memory given back, kept ones opened, bad ones refused."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from crispstream.core.errors import EngineError
from crispstream.runtime.engine import obtain
from crispstream.runtime.engine.backends.tensorrt.backend import TensorRTBackend
from crispstream.runtime.engine.device.driver import Driver
from crispstream.runtime.restorer import Restorer
from tests.gpu.conftest import Build, Open
from tests.helpers.graphs import nearest_x4, small_net
from tests.helpers.pictures import soft_picture

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
SIZE = (64, 48)
SLACK_BYTES = 4 << 20
"""Drivers hand memory out in pieces of 2 MiB."""

LOST = """
import sys
from crispstream.core.errors import EngineError
from crispstream.runtime.engine.backends.tensorrt.backend import Plan, TensorRTBackend

# Stores to address 0: an illegal access, after which nothing in the context works.
PTX = b'''
.version 6.3
.target sm_75
.address_size 64
.visible .entry crash() {
    .reg .b64 %a;
    .reg .b32 %v;
    mov.u64 %a, 0;
    mov.u32 %v, 1;
    st.global.u32 [%a], %v;
    ret;
}
''' + bytes(1)


def crash() -> None:
    import pycuda.driver as cuda
    kernel = cuda.module_from_buffer(PTX).get_function("crash")
    kernel(block=(1, 1, 1), grid=(1, 1))
    cuda.Context.synchronize()


engine = open(sys.argv[2], "rb").read()
backend = TensorRTBackend(lambda *_: Plan(engine), flavour=sys.argv[1], precision="fp32")
backend.allocate(48, 64, 2)
backend.submit(0)
backend.wait(0)
for work in (lambda: backend._worker.call(crash), lambda: backend.submit(0)):
    try:
        work()
    except EngineError as error:
        print(error)
    else:
        print("no error")
backend.close()
print("closed")
"""


def open_and_close(engine: bytes, opened: Open) -> None:
    backend = opened(engine)
    backend.allocate(SIZE[1], SIZE[0], 4)
    twin = backend.twin()
    twin.allocate(SIZE[1], SIZE[0], 4)
    for each in (backend, twin):
        each.submit(0)
        each.wait(0)
    backend.close()
    twin.close()


def test_opening_and_closing_leaves_the_memory_where_it_was(build: Build, opened: Open) -> None:
    from pycuda import driver as cuda

    engine = build(small_net(half=True), SIZE)
    holder = Driver()  # keeps the context, which takes memory itself, from going meanwhile
    try:
        for _ in range(3):  # libraries load what they keep
            open_and_close(engine, opened)
        free_before, _ = cuda.mem_get_info()
        for _ in range(20):
            open_and_close(engine, opened)
        free_after, _ = cuda.mem_get_info()
    finally:
        holder.close()
    assert free_before - free_after <= SLACK_BYTES


def test_a_kept_engine_is_opened_and_not_built_again(
    flavour: str, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = soft_picture(0, SIZE[1], SIZE[0])
    with Restorer.open("edge-n", "fp16", flavour, size=SIZE) as restorer:
        expected = restorer.restore(frame).copy()
    assert list((own_cache / "engines").glob("*.engine"))

    def build_again(*_: object, **__: object) -> None:
        raise AssertionError("the engine was kept and should have been found")

    monkeypatch.setattr(obtain, "build_from_bundle", build_again)
    with Restorer.open("edge-n", "fp16", flavour, size=SIZE) as restorer:
        np.testing.assert_array_equal(restorer.restore(frame), expected)


@pytest.mark.parametrize("fault", ["cut off", "not an engine", "another version", "empty"])
def test_what_is_no_engine_of_this_library_is_refused_with_its_words(
    build: Build, opened: Open, fault: str
) -> None:
    good = build(nearest_x4(), SIZE)
    spoilt = {
        "cut off": good[: len(good) // 2],
        "not an engine": os.urandom(len(good)),
        # The header begins with a tag of 4 bytes; the versions are in what follows.
        "another version": good[:4] + bytes(60) + good[64:],
        "empty": b"",
    }[fault]
    with pytest.raises(EngineError, match="build it again"):
        opened(spoilt).allocate(SIZE[1], SIZE[0], 2)
    backend = opened(good)  # a refusal leaves everything usable
    backend.allocate(SIZE[1], SIZE[0], 2)
    backend.submit(0)
    backend.wait(0)


def test_an_engine_for_other_sizes_is_refused_by_name(build: Build, opened: Open) -> None:
    backend = opened(build(nearest_x4(), SIZE))
    with pytest.raises(EngineError, match=r"takes frames of 64x48 px, not 80x48"):
        backend.allocate(48, 80, 2)


def test_a_lost_context_ends_the_worker_with_the_reason(
    build: Build, flavour: str, tmp_path: Path
) -> None:
    path = tmp_path / "nearest.engine"
    path.write_bytes(build(nearest_x4(), SIZE))
    environment = os.environ | {"PYTHONPATH": str(ROOT / "build/links")}
    command = [sys.executable, "-c", LOST, flavour, str(path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    crashed, afterwards, closed = done.stdout.splitlines()
    assert "context is lost" in crashed
    assert afterwards == crashed, "what comes later gives the same reason"
    assert closed == "closed"


def test_a_backend_can_be_closed_twice(build: Build, flavour: str, opened: Open) -> None:
    backend = opened(build(nearest_x4(), SIZE))
    assert isinstance(backend, TensorRTBackend)
    assert backend.name == flavour
    backend.close()
    backend.close()
