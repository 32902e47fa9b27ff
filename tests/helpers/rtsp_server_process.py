"""A real RTSP server, run by the Python that has GStreamer's bindings; see `rtsp_server`.

Prints its port, then obeys one command a line on standard input and answers "done".
"""

import argparse
import sys
import threading

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

MOVING, FROZEN = "ball", "checkers-8"
ROOM_NS = 20_000 * 10**9  # so that a jump back stays above zero


class Camera(GstRtspServer.RTSPMediaFactory):
    """A test picture as H.264, changed while it runs; what was changed holds for later clients."""

    def __init__(self, chosen: argparse.Namespace) -> None:
        super().__init__()
        self.size, self.rate = chosen.size, chosen.fps
        self.pattern, self.silent, self.jump_ns = MOVING, False, ROOM_NS
        self.moved_ns = ROOM_NS
        self.bin = None
        self.set_shared(True)
        self.set_launch(
            "( videotestsrc name=camera is-live=true ! capsfilter name=shape ! valve name=valve ! "
            "x264enc tune=zerolatency speed-preset=ultrafast bitrate=800 "
            f"key-int-max={chosen.gop} ! rtph264pay name=pay0 pt=96 config-interval=-1 )"
        )
        self.connect("media-configure", self.configure)

    def configure(self, _factory: "Camera", media: GstRtspServer.RTSPMedia) -> None:
        self.bin = media.get_element()
        self.apply()
        # The payloader makes RTP times of the moved ones; its packets are sent when they were due.
        pay = self.bin.get_by_name("pay0")
        kinds = Gst.PadProbeType.BUFFER | Gst.PadProbeType.BUFFER_LIST
        pay.get_static_pad("sink").add_probe(kinds, self.move, 1)
        pay.get_static_pad("src").add_probe(kinds, self.move, -1)

    def apply(self) -> None:
        if self.bin is None:
            return
        self.bin.get_by_name("camera").set_property("pattern", self.pattern)
        self.bin.get_by_name("valve").set_property("drop", self.silent)
        width, height = self.size.split("x")
        caps = f"video/x-raw,width={width},height={height},framerate={self.rate}/1"
        self.bin.get_by_name("shape").set_property("caps", Gst.Caps.from_string(caps))

    def move(self, _pad: Gst.Pad, info: Gst.PadProbeInfo, sign: int) -> Gst.PadProbeReturn:
        if sign > 0:  # taken over here only: what goes in and what comes out of it must agree
            self.moved_ns = self.jump_ns
        packets = info.get_buffer_list() if info.type & Gst.PadProbeType.BUFFER_LIST else None
        for buffer in buffers_of(packets) if packets else [info.get_buffer()]:
            buffer.pts += sign * self.moved_ns
            if buffer.dts != Gst.CLOCK_TIME_NONE:
                buffer.dts += sign * self.moved_ns
        return Gst.PadProbeReturn.OK

    def obey(self, command: str, value: str) -> None:
        if command in ("freeze", "thaw"):
            self.pattern = FROZEN if command == "freeze" else MOVING
        elif command in ("silence", "speak"):
            self.silent = command == "silence"
        elif command == "resize":
            self.size = value
        elif command == "jump":
            self.jump_ns += round(float(value) * Gst.SECOND)
        self.apply()


def buffers_of(packets: Gst.BufferList) -> list[Gst.Buffer]:
    return [packets.get(index) for index in range(packets.length())]


def recorder(chosen: argparse.Namespace) -> GstRtspServer.RTSPMediaFactory:
    """A factory that takes a pushed stream and writes it down as MPEG-TS, or throws it away."""
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_transport_mode(GstRtspServer.RTSPTransportMode.RECORD)
    end = f"mpegtsmux ! filesink location={chosen.record}" if chosen.record else "fakesink"
    codec = chosen.codec
    factory.set_launch(f"( rtp{codec}depay name=depay0 ! {codec}parse ! {end} sync=false )")
    factory.set_latency(50)
    return factory


def protect(server: GstRtspServer.RTSPServer, factories: list, chosen: argparse.Namespace) -> None:
    """Ask for a user and password."""
    user, password = chosen.login.split(":")
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "user")
    auth = GstRtspServer.RTSPAuth()
    if chosen.auth == "digest":
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
        auth.add_digest(user, password, token)
    else:
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
    server.set_auth(auth)
    for factory in factories:
        permissions = GstRtspServer.RTSPPermissions()
        permissions.add_permission_for_role("user", "media.factory.access", True)
        permissions.add_permission_for_role("user", "media.factory.construct", True)
        factory.set_permissions(permissions)


def listen(camera: Camera, loop: GLib.MainLoop) -> None:
    """Obey standard input until it ends."""
    for line in sys.stdin:
        command, _, value = line.strip().partition(" ")
        camera.obey(command, value)
        sys.stdout.write("done\n")
        sys.stdout.flush()
    GLib.idle_add(loop.quit)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", default="0")
    parser.add_argument("--size", default="160x96")
    parser.add_argument("--fps", type=int, default=25)
    parser.add_argument("--gop", type=int, default=12)
    parser.add_argument("--login", default="")
    parser.add_argument("--auth", default="basic")
    parser.add_argument("--record", default="")
    parser.add_argument("--codec", default="h264")
    chosen = parser.parse_args()
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(chosen.port)
    camera, taker = Camera(chosen), recorder(chosen)
    server.get_mount_points().add_factory("/stream", camera)
    server.get_mount_points().add_factory("/record", taker)
    if chosen.login:
        protect(server, [camera, taker], chosen)
    if not server.attach(None):
        raise SystemExit(f"port {chosen.port} is taken")
    sys.stdout.write(f"{server.get_bound_port()}\n")
    sys.stdout.flush()
    loop = GLib.MainLoop()
    threading.Thread(target=listen, args=(camera, loop), daemon=True).start()
    loop.run()


if __name__ == "__main__":
    main()
