"""crisp-v1: which sources, crops, degradations and seeds. Never changed; changes make crisp-v2.

All sources are held out of training (`HELD_OUT` of the edge recipes). A piece's random numbers
come from its name. docs/benchmark.md says why each part is there.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from .footage import Exposure, Film, Official, SlowFilm
from .pieces import Crop, Piece
from .stills import Pan, Scene, Sensor, Still, Upscaled
from .suites import Suite

STILLS = "train/stills"
FAST_CLIP = "video/gopro_GOPR0477_11_00_240fps_720p.mp4"
RESPONSE = "pairs/gopro6_inverse_crf.npy"

FACE = Crop(f"{STILLS}/skimage_astronaut.jpg", 32, 32)
CUP = Crop(f"{STILLS}/skimage_coffee.jpg", 32, 32, 528, 336)
PEOPLE = Crop(f"{STILLS}/osfm_berlin_02.jpg", 1400, 960)
CARS = Crop(f"{STILLS}/brighton_dji_0031.jpg", 1050, 150)
YARD = Crop(f"{STILLS}/budgie_casa_mila.jpg", 300, 500)
TOWN = Crop(f"{STILLS}/budgie_singaporean_cityscape.jpg", 1050, 200)
BARN = Crop(f"{STILLS}/elementary_barn_grafitti.jpg", 760, 420)
FOREST = Crop(f"{STILLS}/solus_forest_street.jpg", 700, 750)

FEW = (FACE, CUP, PEOPLE, CARS, YARD, TOWN, BARN, FOREST)
"""One of each kind, for the parts that diagnose."""
ALL = (
    *FEW,
    Crop(f"{STILLS}/skimage_chelsea.jpg", 32, 32, 384, 224),
    Crop(f"{STILLS}/skimage_rocket.jpg", 32, 32, 560, 352),
    Crop(f"{STILLS}/osfm_berlin_01.jpg", 740, 380),
    Crop(f"{STILLS}/osfm_berlin_03.jpg", 600, 800),
    Crop(f"{STILLS}/brighton_dji_0019.jpg", 1080, 300),
    Crop(f"{STILLS}/brighton_dji_0025.jpg", 900, 500),
    Crop(f"{STILLS}/brighton_dji_0034.jpg", 1300, 400),
    Crop(f"{STILLS}/deepinun_sourav_ghosh_gtvhfsqmqna_unsplash.jpg", 760, 420),
)

MOTION_PX = {"motion-weak": 8.0, "motion-medium": 16.0, "motion-strong": 32.0}
MEDIUM_PX = MOTION_PX["motion-medium"]
NOISE_LOW = Sensor(shot=1e-4, read=1e-3)
"""A camera by day: 1.3 grey levels of noise at mid grey."""
NOISE_HIGH = Sensor(shot=1e-3, read=4e-3)
"""A camera in a dim room: 4 grey levels at mid grey."""
SENSORS = {
    "noise-low": NOISE_LOW,
    "noise-high": NOISE_HIGH,
    "h264-low": Sensor(h264_crf=30),
    "h264-high": Sensor(h264_crf=20),
}
EXPOSURE_STOPS = {"dark": -4.0, "bright": 1.0}
AVERAGED = (7, 11, 15)
FIRST = (0, 90, 180, 270)
OFFICIAL = ("GOPR0477_11_00_f659_n8", "GOPR0477_11_00_f792_n8")
CLIP_FRAMES = 20
STILL_FRAMES = 12

SOURCES: Mapping[str, str] = MappingProxyType(
    {
        "train/stills/skimage_astronaut.jpg": (
            "de49b3df0083ef798bd38a6e76aa2e8324763df7f3f944c833081abe3bb8fa2d"
        ),
        "train/stills/skimage_chelsea.jpg": (
            "5ca0cac0d16756ef8fd198e58eb750521b1b8b3b9d978593f19b8a6142b9621a"
        ),
        "train/stills/skimage_coffee.jpg": (
            "dd8bb6e4ae34deabeb4337a0a71c42939a13e20d88a23853bb0f628f403a1f7c"
        ),
        "train/stills/skimage_rocket.jpg": (
            "c2dd0de7c538df8d111e479619b129464d0269d0ae5fd18ca91d33a7fdfea95c"
        ),
        "train/stills/osfm_berlin_01.jpg": (
            "cb13ec19bc3345741ab1f6e17766b2e9bb90bc74cb9ff3250e24064dc1e700da"
        ),
        "train/stills/osfm_berlin_02.jpg": (
            "3a1427a6f4afa35c1afcd2d122c67a928962f615ca2297f8aba6b64f6d6e8095"
        ),
        "train/stills/osfm_berlin_03.jpg": (
            "81a4697861144c1d1312fe4676e789a2582aaa33672da569eafa7799ccb548a3"
        ),
        "train/stills/brighton_dji_0019.jpg": (
            "0bea1259ed77bb5dfc48b0cb8aab94a413470da63ffad12824860211db09165c"
        ),
        "train/stills/brighton_dji_0025.jpg": (
            "18584847df2c4d359d7b5acb19611d6dd4e4f0a0c253f6dc5b062ec8adb5f7e8"
        ),
        "train/stills/brighton_dji_0031.jpg": (
            "43ab93e1bc2caf30be7044892db8f32f88a764098de89ff8df40684a5e817144"
        ),
        "train/stills/brighton_dji_0034.jpg": (
            "e7f90c68ee85666c5217147858c3564425a782572d74cfef8de00331ed91d51f"
        ),
        "train/stills/budgie_casa_mila.jpg": (
            "86c0fc3ad1453fdf762db7de8927612c12afbb94fb482588385b4a8b5f13469b"
        ),
        "train/stills/budgie_singaporean_cityscape.jpg": (
            "052907df32c080e6315acfc03afa0a2853f1471f35b5ab69419aa44b9613ae84"
        ),
        "train/stills/elementary_barn_grafitti.jpg": (
            "66be9d3fe48535611daa23afd2f45cd59ac427406aff37cbf5a8ba7d3e8a9bc4"
        ),
        "train/stills/solus_forest_street.jpg": (
            "3f2bf8f05b8126cd2eca14418f655aa75799afddb19b6fd999bcbc7d26841f04"
        ),
        "train/stills/deepinun_sourav_ghosh_gtvhfsqmqna_unsplash.jpg": (
            "a98672afd5fbb4f42aa93f61b69aafb3cb87c287fe5d6926f854749de2c3ef35"
        ),
        "pairs/gopro/blur/GOPR0477_11_00_f659_n8.png": (
            "0ad785fd8a50f6b5121302da0ce227878884e5cda888169ff829335dfcd282d9"
        ),
        "pairs/gopro/sharp/GOPR0477_11_00_f659_n8.png": (
            "1fb9e37249c2978aea3f03996e1a28422388a705fc082ac3d6022f07ffd28c0c"
        ),
        "pairs/gopro/blur/GOPR0477_11_00_f792_n8.png": (
            "e4d19ed08bf24f20ed09f361475ec88d92a8e8a083edf64eaca791cead5a7e71"
        ),
        "pairs/gopro/sharp/GOPR0477_11_00_f792_n8.png": (
            "68ef086b31b1b20081515a33b1b59aa9bcc369dbdd851142c72e3b5534a5819e"
        ),
        "pairs/gopro6_inverse_crf.npy": (
            "5ac8a005d0ea7ed68c5821ed6b3afa2f6d2532dfb5ee06d1ce8d6fa136447a0c"
        ),
        "video/gopro_GOPR0477_11_00_240fps_720p.mp4": (
            "e267a191d7c272f0668fdd8784030af84aaf9495c37daa0d7aff2e80d0742088"
        ),
        "video/sam2_dog_720p30.mp4": (
            "21425eb9b7fce7d3fb23fa17b1c07bcbe99ba9e64e3b5347d8052ba6d9c38924"
        ),
        "video/dashcam_carnd_720p25.mp4": (
            "6d809d2bc58d837b2a7c53e6da5c75f4476dac64370c0adc245107b592853aa8"
        ),
    }
)
"""Path below the media folder -> SHA-256."""

PUBLISHED: Mapping[str, str] = MappingProxyType(
    {
        "motion-weak": "3498e2c4bf808c924c2550c4e9ac33806ec21c8e7a52a30636c9a3a2759d0ba2",
        "motion-medium": "95aff20be42d4d7933133fbb03dd98bba22724a9ae8b4c039d3b7269647ca3c5",
        "motion-strong": "f3cf1923eeb3d31894d1b7c476ea196ff506b3a606aa96c13d89aba9b9d7cb2c",
        "noise-low": "67fd90a57ed541a5cffa183bd7b2348b5ecf8ada4a1290cf227e92141fecaed2",
        "noise-high": "6a8b88e240fc7ac0ef233240fa044a88ac9e258ab8c4b9bb80357cd8c97b36cb",
        "h264-low": "bdf7e7754a501d4ca60df475b141efbf9de7851b215f068cb723eb769d0ebe97",
        "h264-high": "8327fc111db8e5a04d7cf38b55f873124f729b122cb51073e6da7465a41142eb",
        "sharp": "6b6adf4f50a572842c0381ae1f2f5607d161cbb6c581bef35754f0ef3af24ca3",
        "dark": "5602680444ecde7d584ec5acdc2b26d776016701fa530e48336d390a4c0e91ba",
        "bright": "3eb6b2917959427d78beb7e10a0b22c02b787f53747b58fa553d5f0e142d94a9",
        "upscaled": "e9320148b05a1fcee55095d9fbfe53c3feee6d9d817110e5d70800e5ff0b45b0",
        "real": "5e9ada04da814fa9df67658fc8d3a3e7045d9b724e48446112393ee1faaed302",
        "clips": "13c589ffa1eee0c2f3fb4b99e8575e6c5c7616a2bb9944fb5034de8a0898f90c",
        "still": "3101cd3c8ed37ce8fc2112a65f56d4366b84f1ee127cdf11612c20c753e11b84",
    }
)
"""Part -> SHA-256 of its pictures as they were first built."""


def crisp_v1() -> Suite:
    """Return the suite."""
    pieces = (*_stills(), *_real(), *_clips(), *_scenes())
    return Suite("crisp-v1", pieces, dict(SOURCES), dict(PUBLISHED))


def _stills() -> Iterable[Piece]:
    for part, length_px in MOTION_PX.items():
        yield from (Still(part, crop, path_px=length_px) for crop in ALL)
    for part, sensor in SENSORS.items():
        yield from (Still(part, crop, path_px=MEDIUM_PX, sensor=sensor) for crop in FEW)
    yield from (Still("sharp", crop) for crop in ALL)
    for part, stops in EXPOSURE_STOPS.items():
        for crop in FEW:
            yield Still(part, crop, path_px=MEDIUM_PX, stops=stops, sensor=NOISE_LOW)
    yield from (Upscaled("upscaled", crop) for crop in FEW)


def _real() -> Iterable[Piece]:
    for averaged in AVERAGED:
        yield from (Exposure("real", FAST_CLIP, RESPONSE, first, averaged) for first in FIRST)
    for stem in OFFICIAL:
        yield Official("real", *(f"pairs/gopro/{side}/{stem}.png" for side in ("blur", "sharp")))


def _clips() -> Iterable[Piece]:
    yield SlowFilm("clips", FAST_CLIP, RESPONSE, frames=CLIP_FRAMES, every=8, averaged=7)
    dog = Crop("video/sam2_dog_720p30.mp4", 160, 80, 960, 544)
    yield Film("clips", dog, first=118, frames=CLIP_FRAMES)
    road = Crop("video/dashcam_carnd_720p25.mp4", 160, 80, 960, 544)
    yield Film("clips", road, first=8, frames=CLIP_FRAMES)
    for crop, step_xy, shake_px, roll_rad, shutter in (
        (_window("osfm_berlin_01", 300, 420), (24.0, 0.0), 6.0, 0.002, 0.5),
        (_window("solus_forest_street", 400, 400), (6.0, -4.0), 12.0, 0.004, 0.7),
        (_window("brighton_dji_0031", 200, 150), (16.0, 8.0), 4.0, 0.006, 0.5),
    ):
        yield Pan(
            "clips", crop, CLIP_FRAMES, step_xy, shake_px, roll_rad, shutter, sensor=NOISE_LOW
        )


def _window(still: str, x: int, y: int) -> Crop:
    return Crop(f"{STILLS}/{still}.jpg", x, y, 768, 432)


def _scenes() -> Iterable[Piece]:
    for crop in (FACE, PEOPLE, BARN):
        for strength, sensor in (("low", NOISE_LOW), ("high", NOISE_HIGH)):
            yield Scene("still", crop, strength, STILL_FRAMES, sensor)
