"""The painted time across a whole run: in one process, and over a real RTSP server.

Only what is wrong is judged here; `benchmarks/glass_to_glass.py` measures how old pictures are.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from crispstream.runtime.restorer import Restorer
from crispstream.runtime.stream.loop import run_stream
from crispstream.runtime.stream.sinks.timecode import TimecodeSink
from crispstream.runtime.stream.source import open_source
from tests.helpers.rtsp_server import why_no_rtsp_server

ROOT = Path(__file__).resolve().parents[3]
FAULTS = ("unreadable", "duplicates", "reorders", "restarts", "ahead")


def test_every_restored_frame_is_read_and_every_missing_one_counted() -> None:
    source, sink = open_source("synth://?timecode=1&fps=60"), TimecodeSink()
    with Restorer.open("edge-n") as restorer:
        report = run_stream(source, restorer, sink, policy="latest", limit=30)
    source.close()
    figures = sink.figures()
    assert {name: figures[name] for name in FAULTS} == dict.fromkeys(FAULTS, 0)
    assert figures["frames"] == report.sinks[0].written
    assert report.frames == 30
    lost = report.drops["slot"] + report.drops["source"] + report.sinks[0].dropped
    assert figures["dropped"] <= lost
    assert 0 < figures["latency_p50_ms"] < 10_000


@pytest.mark.slow
def test_the_time_comes_through_an_rtsp_server() -> None:
    if why := why_no_rtsp_server():
        pytest.skip(why)
    script = ROOT / "benchmarks/glass_to_glass.py"
    asked = ("--seconds", "1.5", "--models", "edge-n", "--json")
    ran = subprocess.run(
        [sys.executable, script, *asked],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert ran.returncode == 0, ran.stderr
    figures = json.loads(ran.stdout)["figures"]["edge-n_rtsp"]
    assert figures["frames"] > 0
    assert {name: figures[name] for name in FAULTS} == dict.fromkeys(FAULTS, 0)
    assert 0 < figures["latency_p50_ms"] < 10_000
