"""Ctrl-C and SIGTERM while `crispstream build` is inside the library: a process gets them."""

import importlib.util
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.bundles import write_tiny_bundle

# Runs the command line, and stops in the library's first message until it is told to go on: from
# there C++ lets no exception out. A background job of a shell ignores SIGINT, and so would this
# process: hence the first line.
BUILDER = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
import tensorrt_rtx
from crispstream.cli.main import main
from crispstream.runtime.engine.native import logger_of

kind = type(logger_of(tensorrt_rtx, "tensorrt-rtx"))
own_log = kind.log

def stop_once(self, severity, message):
    kind.log = own_log
    print("building", flush=True)
    sys.stdin.readline()

kind.log = stop_once
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.skipif(
    importlib.util.find_spec("tensorrt_rtx") is None,
    reason='TensorRT-RTX is not installed: pip install "crispstream[rtx]"',
)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_cancels_the_build_and_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    bundle = write_tiny_bundle(tmp_path / "tiny").path
    folder = tmp_path / "out"
    words = ("build", bundle, "--backend", "tensorrt-rtx", "--size", "64x48")
    with subprocess.Popen(
        [sys.executable, "-c", BUILDER, *map(str, words), "-o", str(folder / "a.engine")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "building\n"
            process.send_signal(number)
            stdout, stderr = process.communicate("go on\n", timeout=60)
        finally:
            process.kill()
    assert process.returncode == 128 + number
    assert stdout == ""
    assert stderr == "cancelled; nothing was kept\n"  # and nothing of what the library says
    assert not folder.exists()
