"""What happens behind the lens: the sensor's noise, then the camera's compression.

Noise is Poisson-Gaussian in linear light: variance = shot x signal + read^2 (Foi et al.,
"Practical Poissonian-Gaussian noise modeling", IEEE TIP 2008). Compression is a real encoder:
JPEG through OpenCV or one intra frame of H.264 through libx264.
"""

from dataclasses import dataclass
from fractions import Fraction

import cv2
import numpy as np
import numpy.typing as npt

from crispstream.core.pixels import Bytes, round_to_bytes

GAMMA = 2.2
"""The usual tone curve: bytes / 255 = linear ** (1 / 2.2)."""

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class CameraRange:
    """How noisy and how compressed frames are."""

    shot_noise: tuple[float, float] = (1e-5, 5e-4)
    """Variance per unit of linear signal, drawn log-uniformly."""
    read_noise: tuple[float, float] = (1e-4, 2e-3)
    """Standard deviation in linear light, drawn log-uniformly."""
    jpeg_share: float = 0.2
    """Share of frames that pass through JPEG."""
    jpeg_quality: tuple[int, int] = (50, 95)
    """JPEG quality, 0 to 100."""
    h264_share: float = 0.2
    """Share of frames that pass through H.264."""
    h264_crf: tuple[int, int] = (16, 33)
    """x264 constant rate factor: 0 is lossless, 51 is worst."""
    clean_share: float = 0.3
    """Share of frames with neither noise nor compression: daylight on a raw link. Without them a
    network never learns how far a blur can be undone, and smooths what needs no smoothing."""
    dim_share: float = 0.08
    """Share of the noisy frames that were taken in low light, at a high ISO number."""
    dim_shot_noise: tuple[float, float] = (5e-4, 2e-3)
    """As `shot_noise`, in low light."""
    dim_read_noise: tuple[float, float] = (2e-3, 6e-3)
    """As `read_noise`, in low light."""

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn from."""
        shares = (self.jpeg_share + self.h264_share, self.clean_share, self.dim_share)
        if not all(0 <= share <= 1 for share in shares):
            raise ValueError(f"shares are in 0..1, JPEG's and H.264's together too; got {self}")
        ranges = (self.shot_noise, self.read_noise, self.dim_shot_noise, self.dim_read_noise)
        if min(min(ends) for ends in ranges) <= 0:
            raise ValueError(f"noise is drawn log-uniformly and must be above 0, got {self}")


def to_linear(frame_hwc: Bytes, gamma: float = GAMMA) -> Floats:
    """Bytes to linear light, 0 to 1."""
    table: Floats = ((np.arange(256) / 255.0) ** gamma).astype(np.float32)
    return table[frame_hwc]


def to_bytes(linear_hwc: npt.NDArray[np.floating], gamma: float = GAMMA) -> Bytes:
    """Linear light to bytes; what is outside 0..1 is clipped as a sensor does."""
    return round_to_bytes(np.clip(linear_hwc, 0, 1) ** (1 / gamma) * 255)


def add_noise(
    linear_hwc: npt.NDArray[np.floating], rng: np.random.Generator, camera: CameraRange
) -> npt.NDArray[np.floating]:
    """Add shot and read noise of a strength drawn from `camera`."""
    dim = rng.random() < camera.dim_share
    shots = camera.dim_shot_noise if dim else camera.shot_noise
    reads = camera.dim_read_noise if dim else camera.read_noise
    shot, read = (np.exp(rng.uniform(*np.log(ends))) for ends in (shots, reads))
    deviation = np.sqrt(shot * np.clip(linear_hwc, 0, None) + read**2)
    noisy: npt.NDArray[np.floating] = linear_hwc + deviation * rng.standard_normal(linear_hwc.shape)
    return noisy


def compress(frame_hwc: Bytes, rng: np.random.Generator, camera: CameraRange) -> Bytes:
    """Pass the frame through a JPEG or H.264 encoder, or neither, by the shares of `camera`."""
    draw = rng.random()
    if draw < camera.jpeg_share:
        quality = int(rng.integers(camera.jpeg_quality[0], camera.jpeg_quality[1] + 1))
        return jpeg(frame_hwc, quality)
    if draw < camera.jpeg_share + camera.h264_share:
        return h264(frame_hwc, int(rng.integers(camera.h264_crf[0], camera.h264_crf[1] + 1)))
    return frame_hwc


def jpeg(frame_hwc: Bytes, quality: int) -> Bytes:
    """Return the frame after JPEG at `quality` (0 to 100)."""
    _, data = cv2.imencode(".jpg", frame_hwc, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


def h264(frame_hwc: Bytes, crf: int) -> Bytes:
    """Return the frame after one intra frame of H.264, 4:2:0; sides must be even."""
    import av  # not everywhere: a ready pool is learnt from without it

    height, width = frame_hwc.shape[:2]
    encoder = av.CodecContext.create("libx264", "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
    encoder.time_base = Fraction(1, 25)
    encoder.thread_count = 1
    encoder.options = {"crf": str(crf), "preset": "veryfast", "tune": "zerolatency"}
    picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame_hwc), format="bgr24")
    packets = [*encoder.encode(picture), *encoder.encode(None)]
    decoder = av.CodecContext.create("h264", "r")
    assert isinstance(decoder, av.VideoCodecContext)
    decoder.thread_count = 1
    frames = [frame for packet in packets for frame in decoder.decode(packet)]
    frames += decoder.decode(None)
    return np.asarray(frames[0].to_ndarray(format="bgr24"), np.uint8)
