"""Why an engine does not fit: the words for version, GPU, driver, options and sizes."""

import pytest

from crispstream.runtime.engine.device.gpu import Gpu
from crispstream.runtime.engine.store.fit import NOTHING_KEPT, differences, misfit, why_none
from crispstream.runtime.engine.store.record import EngineRecord
from tests.helpers.engines import key_of, made_for_4070, made_up_record, with_orders

BOUND, RTX = made_for_4070(), made_up_record()
HERE = Gpu("NVIDIA GeForce RTX 4070", (8, 9), "580.95.05", 12 << 30, False, multiprocessors=46)
L4 = Gpu("NVIDIA L4", (8, 9), "580.95.05", 24 << 30, False, multiprocessors=58)
T4 = Gpu("Tesla T4", (7, 5), "580.95.05", 16 << 30, False, multiprocessors=40)
AMPERE = with_orders(BOUND, hardware_compatible="ampere+")
SAME_KIND = with_orders(BOUND, hardware_compatible="same-compute-capability")
ANY_10 = with_orders(BOUND, version_compatible=True)
FOR_86 = with_orders(RTX, compute_capabilities=["8.6", "12.0"])


@pytest.mark.parametrize(
    ("record", "version", "gpu"),
    [
        (BOUND, "10.16.1.11", HERE),
        (AMPERE, "10.16.1.11", L4),
        (SAME_KIND, "10.16.1.11", L4),
        (ANY_10, "10.16.1.11", HERE),
        (ANY_10, "10.20", HERE),
        (RTX, "1.7.1.116", L4),
        (
            FOR_86,
            "1.7.1.116",
            Gpu("NVIDIA A10", (8, 6), "550.1", 24 << 30, False, multiprocessors=72),
        ),
    ],
)
def test_an_engine_fits(record: EngineRecord, version: str, gpu: Gpu) -> None:
    assert misfit(record, version, gpu) == ""


@pytest.mark.parametrize(
    ("record", "version", "gpu", "expected"),
    [
        (BOUND, None, HERE, "no TensorRT here"),
        (RTX, "1.7.1.116", None, "no GPU here"),
        (BOUND, "10.3.0", HERE, "built by TensorRT 10.16.1.11, and this is 10.3.0"),
        (ANY_10, "10.9.0", HERE, "built by TensorRT 10.16.1.11, and this is 10.9.0"),
        (ANY_10, "11.4", HERE, "built by TensorRT 10.16.1.11, and this is 11.4"),
        (
            BOUND,
            "10.16.1.11",
            L4,
            "built for NVIDIA GeForce RTX 4070 (8.9), and this is NVIDIA L4 (8.9)",
        ),
        (
            SAME_KIND,
            "10.16.1.11",
            T4,
            "built for NVIDIA GeForce RTX 4070 (8.9), and this is Tesla T4 (7.5)",
        ),
        (
            AMPERE,
            "10.16.1.11",
            T4,
            "built for Ampere GPUs and newer, and this is Tesla T4 (7.5)",
        ),
        (RTX, "1.7.1.116", T4, "built for Ampere GPUs and newer, and this is Tesla T4 (7.5)"),
        (FOR_86, "1.7.1.116", L4, "built for 8.6, 12.0, and this GPU has 8.9"),
        (
            BOUND,
            "10.16.1.11",
            Gpu(HERE.name, HERE.compute_capability, "550.1", 12 << 30, False, multiprocessors=46),
            "built under driver 580, and this is 550",
        ),
    ],
)
def test_an_engine_does_not_fit(
    record: EngineRecord, version: str | None, gpu: Gpu | None, expected: str
) -> None:
    assert misfit(record, version, gpu) == expected


def test_versions_are_compared_as_numbers() -> None:
    assert misfit(ANY_10, "10.16.1.100", HERE) == ""


def test_the_nearest_engine_is_explained() -> None:
    far = with_orders(made_for_4070(flavour_version="10.0.1"), optimisation_level=5)
    key = key_of(BOUND, flavour_version="10.3.0")
    assert why_none([far, BOUND], key) == (
        "the engine kept for tiny fp16 320x180 was built by TensorRT 10.16.1.11, and this is 10.3.0"
    )


@pytest.mark.parametrize(
    ("orders", "expected"),
    [
        ({"optimisation_level": 1}, "optimisation level default, not 1"),
        ({"workspace_mib": 1}, "workspace in MiB default, not 1"),
        ({"version_compatible": True}, "version compatible off, not on"),
        ({"compute_capabilities": ["8.9"]}, "compute capabilities default, not 8.9"),
    ],
)
def test_other_options_are_named(orders: dict[str, object], expected: str) -> None:
    key = key_of(RTX, options={**RTX.options, **orders})
    assert differences(RTX, key) == [f"built for other options ({expected})"]


def test_another_recipe_is_a_difference() -> None:
    assert differences(made_up_record(builder_recipe=0), key_of(RTX)) == [
        "built with other settings of another version of this kit"
    ]


def test_other_sizes_and_other_graphs_are_not_worth_a_sentence() -> None:
    wider = key_of(RTX, options={**RTX.options, "profiles": ["640x360"]})
    assert why_none([RTX], wider) == NOTHING_KEPT
    assert why_none([RTX], key_of(RTX, graph_sha256="1" * 64)) == NOTHING_KEPT
    assert why_none([RTX], key_of(BOUND)) == NOTHING_KEPT
    assert why_none([], wider) == NOTHING_KEPT


def test_modules_that_share_a_name_are_told_apart() -> None:
    nano = Gpu("Orin", (8, 7), "540.4.0", 8 << 30, True, multiprocessors=8)
    agx = Gpu("Orin", (8, 7), "540.4.0", 64 << 30, True, multiprocessors=16)
    record = made_for_4070(gpu=agx.as_json())
    assert misfit(record, record.flavour_version, agx) == ""
    assert misfit(record, record.flavour_version, nano) == (
        "built for Orin (8.7) with 16 multiprocessors and 64 GiB, and this is Orin (8.7) with 8 "
        "multiprocessors and 8 GiB"
    )


def test_the_nearest_engine_is_the_one_with_the_fewest_options_that_differ() -> None:
    level_0 = with_orders(RTX, optimisation_level=0)
    both = with_orders(level_0, compute_capabilities=["8.6"])
    wanted = key_of(with_orders(RTX, optimisation_level=1))
    assert why_none([both, level_0], wanted).endswith(
        "built for other options (optimisation level 0, not 1)"
    )
