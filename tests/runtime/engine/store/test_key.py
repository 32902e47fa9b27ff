"""An engine's key: what makes it another one, what does not, and its file name."""

import re
from dataclasses import replace

import pytest

from crispstream.core.sizes import SizeRange
from crispstream.runtime.engine.building.options import BuildOptions
from crispstream.runtime.engine.store.key import EngineKey
from crispstream.runtime.engine.store.record import EngineRecord
from tests.helpers.engines import RTX_4070, key_of, made_for_4070, made_up_record, with_orders

BOUND = made_for_4070()
RTX = made_up_record()
AMPERE = with_orders(BOUND, hardware_compatible="ampere+")
SAME_KIND = with_orders(BOUND, hardware_compatible="same-compute-capability")
ANY_10 = with_orders(BOUND, version_compatible=True)


@pytest.mark.parametrize(
    "other",
    [
        replace(BOUND, graph_sha256="1" * 64),
        replace(BOUND, flavour_version="10.16.1.12"),
        replace(BOUND, flavour="tensorrt-rtx"),
        replace(BOUND, builder_recipe=0),
        with_orders(BOUND, profiles=["320x184"]),
        with_orders(BOUND, optimisation_level=3),
        with_orders(BOUND, workspace_mib=512),
        replace(BOUND, gpu={**RTX_4070, "name": "NVIDIA L4"}),
        replace(BOUND, gpu={**RTX_4070, "compute_capability": "8.6"}),
        replace(BOUND, gpu={**RTX_4070, "driver": "550.1"}),
        AMPERE,
        ANY_10,
    ],
)
def test_what_makes_another_engine(other: EngineRecord) -> None:
    assert EngineKey.of(other).digest != EngineKey.of(BOUND).digest


@pytest.mark.parametrize(
    ("record", "facts"),
    [
        (BOUND, {"gpu": {**RTX_4070, "driver": "580.95.05"}}),
        (AMPERE, {"gpu": {**RTX_4070, "name": "NVIDIA A10", "compute_capability": "8.6"}}),
        (SAME_KIND, {"gpu": {**RTX_4070, "name": "NVIDIA L4"}}),
        (ANY_10, {"flavour_version": "10.3.0"}),
        (RTX, {"gpu": RTX_4070}),
        (RTX, {"gpu": {**RTX_4070, "driver": "550.1"}}),
    ],
)
def test_what_makes_no_other_engine(record: EngineRecord, facts: dict[str, object]) -> None:
    assert key_of(record, **facts).digest == EngineKey.of(record).digest


def test_same_kinds_of_gpu_differ_from_others() -> None:
    other = {**RTX_4070, "compute_capability": "8.6"}
    assert key_of(SAME_KIND, gpu=other).digest != EngineKey.of(SAME_KIND).digest
    assert key_of(ANY_10, flavour_version="11.4").digest != EngineKey.of(ANY_10).digest


def test_a_key_does_not_depend_on_the_order_of_its_facts() -> None:
    turned = dict(reversed(BOUND.options.items()))
    assert key_of(BOUND, options=turned).digest == EngineKey.of(BOUND).digest


def test_an_engine_built_with_less_has_the_key_that_was_asked_for() -> None:
    asked = BuildOptions((SizeRange.parse("160x96:320x180:640x360"),)).as_json()
    less = replace(RTX, asked_options=asked)
    assert EngineKey.of(less).digest == key_of(RTX, options=asked).digest


def options_of(*profiles: str, **orders: object) -> dict[str, object]:
    built = BuildOptions(tuple(SizeRange.parse(profile) for profile in profiles))
    return {**built.as_json(), **orders}


@pytest.mark.parametrize(
    ("record", "start"),
    [
        (BOUND, "tiny.fp16.320x180.NVIDIA-GeForce-RTX-4070-8.9.tensorrt-10.16.1."),
        (RTX, "tiny.fp16.320x180.tensorrt-rtx-1.7.1."),
        (with_orders(RTX, compute_capabilities=["8.6", "8.9"]), "tiny.fp16.320x180.cc8.6+8.9."),
        (AMPERE, "tiny.fp16.320x180.ampere+.tensorrt-10.16.1."),
        (SAME_KIND, "tiny.fp16.320x180.cc8.9.tensorrt-10.16.1."),
        (ANY_10, "tiny.fp16.320x180.NVIDIA-GeForce-RTX-4070-8.9.tensorrt-10."),
        (
            replace(RTX, options=options_of("160x96:320x180:640x360")),
            "tiny.fp16.160x96-640x360.tensorrt-rtx-",
        ),
        (
            replace(RTX, options=options_of("320x180", "640x360")),
            "tiny.fp16.320x180+640x360.tensorrt-rtx-",
        ),
    ],
)
def test_a_file_name_tells_what_the_engine_is(record: EngineRecord, start: str) -> None:
    key = EngineKey.of(record)
    name = key.file_name(record)
    assert name.startswith(start)
    assert name.endswith(f".{key.digest[:8]}.engine")


@pytest.mark.parametrize(
    "record",
    [
        replace(BOUND, bundle="../../etc/passwd"),
        replace(BOUND, bundle=".hidden", precision="fp16\n\x00"),
        replace(BOUND, bundle="ö" * 300),
        replace(BOUND, gpu={**RTX_4070, "name": "x/y" * 200}),
        replace(BOUND, flavour_version="10." + "9" * 400),
        replace(RTX, options=options_of(*(f"{16 * n}x{16 * n}" for n in range(1, 60)))),
    ],
)
def test_every_name_is_safe_and_short(record: EngineRecord) -> None:
    name = EngineKey.of(record).file_name(record)
    assert re.fullmatch(r"[A-Za-z0-9_+-][A-Za-z0-9._+-]*\.engine", name)
    assert len(name) <= 200
    assert name.endswith(f".{EngineKey.of(record).short}.engine")
