"""How old a picture is when it is shown, by the time painted into it, and what goes missing.

A synthetic camera at 320x180 and 30 frames a second paints a counter and the time into each
frame; the restored frames are read at the other end.

direct    camera -> restorer -> reader, in one process
rtsp      camera in a process of its own -> x264 -> RTSP server -> restorer -> reader: the sender
          pushes, the server hands on, and the restoring side reads it as any IP camera. FFmpeg
          sees that a picture is whole when the next one begins, which costs a frame interval.
          Needs the RTSP server of `rtsp_relay.py`; left out without it.

Latency runs from the moment the camera takes a picture until the reader has it restored.
"""

import contextlib
import select
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from common import Limit, arguments, publish, result

from crispstream.core.errors import SinkError, SourceError
from crispstream.runtime.restorer import Restorer
from crispstream.runtime.stream.loop import run_stream
from crispstream.runtime.stream.sink import open_sink
from crispstream.runtime.stream.sinks.timecode import TimecodeSink
from crispstream.runtime.stream.source import Source, open_source

MODELS = ("bicubic", "edge-n")
WIDTH, HEIGHT, FPS = 320, 180, 30
CAMERA = f"synth://?timecode=1&size={WIDTH}x{HEIGHT}&fps={FPS}"
AT_MOST_ENGINE_TIMES = 2.0
AT_MOST_INTERVALS = 2.0
KEEPS_UP = 0.8
"""An engine that takes no more of a frame interval than this shall lose no frames."""
_RELAY = Path(__file__).with_name("rtsp_relay.py")
_PATIENCE_SECONDS = 20


def measure(source: Source, model: str, seconds: float) -> dict[str, float]:
    """Return the reader's figures, and the engine's own time, of one run."""
    sink = TimecodeSink()
    with Restorer.open(model, size=(source.info.width, source.info.height)) as restorer:
        run_stream(source, restorer, sink, policy="latest", seconds=seconds)
        engine = restorer.latencies["infer"].percentile_ms(50)
    return {**sink.figures(), "engine_p50_ms": engine}


def send(uri: str) -> None:
    """Push what the camera sees to a server, for ever."""
    source = open_source(CAMERA)
    sink = open_sink(uri, source.info, scale=1)
    for frame in source:
        sink.write(frame, frame.pixels_hwc)


@contextlib.contextmanager
def relayed() -> Iterator[str | None]:
    """Run server and sender; give the address to read from, or None where there is no server."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with contextlib.ExitStack() as stack:
        server = subprocess.Popen(["/usr/bin/python3", str(_RELAY)], text=True, **pipes)
        stack.callback(_end, server)
        ready, _, _ = select.select([server.stdout], [], [], _PATIENCE_SECONDS)
        port = server.stdout.readline().strip() if ready and server.stdout else ""
        if not port:
            yield None
            return
        at = f"rtsp://127.0.0.1:{port}"
        sender = subprocess.Popen([sys.executable, __file__, "--send", f"{at}/push"])
        stack.callback(_end, sender)
        yield f"{at}/play"


def _end(process: "subprocess.Popen[Any]") -> None:
    process.kill()
    process.communicate()


def both_ways(model: str, seconds: float) -> dict[str, dict[str, float]]:
    """Measure one model directly and across the server."""
    figures = {}
    source = open_source(CAMERA)
    figures["direct"] = measure(source, model, seconds)
    source.close()
    with relayed() as uri:
        if uri is not None:
            source = _opened(uri)
            figures["rtsp"] = measure(source, model, seconds)
            source.close()
    return figures


def _opened(uri: str) -> Source:
    """Open the relayed stream, which begins when the sender is there."""
    for _ in range(_PATIENCE_SECONDS):
        with contextlib.suppress(SourceError):
            return open_source(uri)
    raise SystemExit(f"nothing came from {uri}")


def claims(model: str, figures: Mapping[str, Mapping[str, float]]) -> dict[str, Limit]:
    """Return what must hold."""
    limits = {}
    for way, seen in figures.items():
        wrong = seen["unreadable"] + seen["duplicates"] + seen["reorders"] + seen["ahead"]
        limits[f"{model}_{way}_wrong_frames"] = Limit(wrong, 0)
        if seen["engine_p50_ms"] < KEEPS_UP * 1000 / FPS:
            share = seen["dropped"] / max(1.0, seen["frames"] + seen["dropped"])
            limits[f"{model}_{way}_dropped_share"] = Limit(share, 0.01)
    direct = figures["direct"]
    in_engines = direct["latency_p50_ms"] / direct["engine_p50_ms"]
    limits[f"{model}_direct_p50_over_engine"] = Limit(in_engines, AT_MOST_ENGINE_TIMES)
    if "rtsp" in figures:
        beyond_ms = figures["rtsp"]["latency_p50_ms"] - direct["latency_p50_ms"]
        limits[f"{model}_rtsp_hop_over_interval"] = Limit(beyond_ms * FPS / 1000, AT_MOST_INTERVALS)
    return limits


def main() -> None:
    """Measure each model."""
    parser = arguments(__doc__)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    parser.add_argument("--send", metavar="URI", help="only push the camera to a server")
    chosen = parser.parse_args()
    if chosen.send:
        with contextlib.suppress(SinkError):  # the server ends first
            send(chosen.send)
        return
    figures: dict[str, Any] = {}
    limits: dict[str, Limit] = {}
    for model in chosen.models:
        seen = both_ways(model, chosen.seconds)
        figures |= {f"{model}_{way}": measured for way, measured in seen.items()}
        limits |= claims(model, seen)
    settings = {"seconds": chosen.seconds, "models": chosen.models, "source": CAMERA}
    publish(result("glass_to_glass", settings=settings, figures=figures, limits=limits), chosen)


if __name__ == "__main__":
    main()
