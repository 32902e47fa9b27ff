"""GStreamer pipelines as sources, and with them the cameras on a Jetson's CSI ports.

A pipeline gives pictures as fast as its source does: a camera at its own pace, a file as fast as
it is read unless `identity sync=true` holds it back. It runs through OpenCV where that has
GStreamer, which the wheels of opencv-python have not, else in a child process. The child says
why a pipeline does not start or that it came to its end, and gives the pictures' own times and
colours; OpenCV does none of it. What the child is started with, passwords too, every user of the
machine can see.
"""

import re
import shlex
import shutil
from fractions import Fraction

import cv2
import numpy as np

from crispstream.core.errors import SourceError, UsageError
from crispstream.core.uris import without_secrets
from crispstream.runtime.frame import RGB
from crispstream.runtime.stream.live.feed import LONGEST_READ_SECONDS, Feed, OpenFeed, Picture

from .gst_child import PROGRAM, ChildFeed

_OPEN_SECONDS = 5.0
_OPENCV_SINK = "videoconvert ! video/x-raw,format=BGR ! appsink sync=false max-buffers=2"
_EXAMPLE = "gst:v4l2src device=/dev/video0 ! video/x-raw,width=320,height=240"


def csi_pipeline(number: str, size: tuple[int, int] | None, frames_per_second: float | None) -> str:
    """Return the pipeline of a camera on a Jetson's CSI port; not yet tried on one.

    The last element puts the picture into memory that the CPU reads, and turns it into RGB.

    >>> csi_pipeline("0", None, None)[:67]
    'nvarguscamerasrc sensor-id=0 ! video/x-raw(memory:NVMM),format=NV12'

    Raises:
        UsageError: if the number of the camera is none.
    """
    if not number.isdecimal():
        raise UsageError(f"'csi://{number}' names no camera; give its number, as in csi://0")
    wanted = "video/x-raw(memory:NVMM),format=NV12"
    if size is not None:
        wanted += f",width={size[0]},height={size[1]}"
    if frames_per_second is not None:
        rate = Fraction(frames_per_second).limit_denominator(1001)
        wanted += f",framerate={rate.numerator}/{rate.denominator}"
    source = f"nvarguscamerasrc sensor-id={number}"
    return f"{source} ! {wanted} ! nvvidconv ! video/x-raw,format=BGRx"


def pipeline_feed(pipeline: str) -> OpenFeed:
    """Return what starts a pipeline; a sink of its own, as `appsink`, may be left out.

    Raises:
        UsageError: if there is none, or a quote in it does not end.
    """
    source = re.sub(r"(^|!)\s*appsink\b[^!]*$", "", pipeline).strip(" !\n\t")
    try:
        words = shlex.split(source)
    except ValueError as error:
        raise UsageError(f"'gst:{without_secrets(pipeline)}' is no pipeline ({error})") from error
    if not words:
        raise UsageError(f"'gst:' names no pipeline; give one, as {_EXAMPLE}")
    return lambda: _opened(source, words)


def opencv_has_gstreamer() -> bool:
    """Return whether this build of OpenCV has GStreamer in it."""
    return re.search(r"GStreamer:\s+YES", cv2.getBuildInformation()) is not None


def _opened(source: str, words: list[str]) -> Feed:
    name = f"gst:{without_secrets(source)}"
    if opencv_has_gstreamer():
        try:
            return OpenCvFeed(source, name)
        except SourceError:
            if shutil.which(PROGRAM) is None:
                raise
    return ChildFeed(words, name)  # which says why, where OpenCV could not


class OpenCvFeed:
    """One run of a pipeline inside OpenCV; see `Feed`. Its pictures come without times."""

    time_base = Fraction(1, 1_000_000_000)
    colour = RGB

    def __init__(self, pipeline: str, name: str) -> None:
        """Start the pipeline.

        Raises:
            SourceError: if it does not start; OpenCV does not tell why.
        """
        self._name = name
        limits = (
            (cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, _OPEN_SECONDS),
            (cv2.CAP_PROP_READ_TIMEOUT_MSEC, LONGEST_READ_SECONDS),
        )
        numbers = [number for key, seconds in limits for number in (key, round(seconds * 1000))]
        text = f"{pipeline} ! {_OPENCV_SINK}"
        self._capture = cv2.VideoCapture(text, cv2.CAP_GSTREAMER, numbers)
        if not self._capture.isOpened():
            self._capture.release()
            raise SourceError(
                f"'{name}' does not start in OpenCV; try it with: gst-launch-1.0 ... ! fakesink"
            )
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.frame_rate = Fraction(rate).limit_denominator(1001) if rate > 0 else None

    def read(self) -> Picture:
        """Return the next picture; see `Feed`."""
        there, image = self._capture.read()
        if not there:
            raise SourceError(f"'{self._name}' ended or gave no picture in time; check the camera")
        return Picture(np.asarray(image, np.uint8), None)

    def close(self) -> None:
        """End the pipeline; calling it twice does no harm."""
        self._capture.release()
