"""An RTSP server on loopback that plays what is pushed to it: a camera's server, for measuring.

Run by the Python that has GStreamer's bindings (Debian: python3-gi, gir1.2-gst-rtsp-server-1.0,
gstreamer1.0-plugins-good): push to /push, play /play. Prints its port; ends with its standard
input. The stream is handed over as RTP packets on loopback, as it came.
"""

import socket
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

# Else the parameters of the stream are sent before each slice of a keyframe, and part them.
_WHOLE = "h264parse config-interval=-1 ! video/x-h264,stream-format=byte-stream,alignment=au"


def factory(launch: str) -> GstRtspServer.RTSPMediaFactory:
    """Return what makes one stream."""
    made = GstRtspServer.RTSPMediaFactory()
    made.set_launch(f"( {launch} )")
    made.set_shared(True)
    made.set_latency(0)
    return made


def free_port() -> int:
    """Return a UDP port that nobody uses."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])


def main() -> None:
    """Serve until standard input ends."""
    Gst.init(None)
    port = free_port()
    taker = factory(
        f"rtph264depay name=depay0 ! {_WHOLE} ! rtph264pay ! "
        f"udpsink host=127.0.0.1 port={port} sync=false async=false"
    )
    taker.set_transport_mode(GstRtspServer.RTSPTransportMode.RECORD)
    caps = "application/x-rtp,media=video,clock-rate=90000,encoding-name=H264"
    player = factory(
        f'udpsrc address=127.0.0.1 port={port} buffer-size=4000000 caps="{caps}" ! rtph264depay ! '
        f"{_WHOLE} ! rtph264pay name=pay0 pt=96"
    )
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service("0")
    server.get_thread_pool().set_max_threads(4)  # with one, a new player would hold up the sender
    server.get_mount_points().add_factory("/push", taker)
    server.get_mount_points().add_factory("/play", player)
    server.attach(None)
    print(server.get_bound_port(), flush=True)
    loop = GLib.MainLoop()
    GLib.io_add_watch(sys.stdin, GLib.PRIORITY_DEFAULT, GLib.IO_HUP, lambda *_: loop.quit())
    loop.run()


if __name__ == "__main__":
    main()
