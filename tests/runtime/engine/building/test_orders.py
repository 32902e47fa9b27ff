"""Build options reach the builder's configuration, and what a flavour lacks is refused."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from crispstream.core.errors import EngineError, UsageError
from crispstream.runtime.engine.building.options import BuildOptions
from crispstream.runtime.engine.building.orders import (
    give_orders,
    refuse_unfit,
    refuse_unknown_aims,
    remark_on,
)

PLAIN = BuildOptions.static((64, 48))


class FakeBuilderConfig:
    """Keeps what it is told, as a configuration of TensorRT."""

    def __init__(self) -> None:
        self.cleared: list[str] = []
        self.flags: list[str] = []
        self.pools: list[tuple[str, int]] = []
        self.builder_optimization_level = 3
        self.hardware_compatibility_level = "NONE"

    def clear_flag(self, flag: str) -> None:
        self.cleared.append(flag)

    def set_flag(self, flag: str) -> None:
        self.flags.append(flag)

    def set_memory_pool_limit(self, pool: str, size_bytes: int) -> None:
        self.pools.append((pool, size_bytes))


class FakeAimingConfig(FakeBuilderConfig):
    """A configuration of TensorRT-RTX, which aims."""

    def __init__(self, *, takes: bool = True) -> None:
        super().__init__()
        self.num_compute_capabilities = 1
        self.aims: dict[int, str] = {}
        self._takes = takes

    def set_compute_capability(self, value: str, index: int) -> bool:
        self.aims[index] = value
        return self._takes


def fake_tensorrt(*hardware_levels: str, aims: bool = False) -> SimpleNamespace:
    """A module with the names that are used here; every value is its own name."""
    capabilities = SimpleNamespace(__members__={"NONE": "none", "SM86": "sm86", "SM120": "sm120"})
    return SimpleNamespace(
        **({"ComputeCapability": capabilities} if aims else {}),
        __version__="10.3.0",
        BuilderFlag=SimpleNamespace(TF32="TF32", VERSION_COMPATIBLE="VERSION_COMPATIBLE"),
        MemoryPoolType=SimpleNamespace(WORKSPACE="WORKSPACE"),
        HardwareCompatibilityLevel=SimpleNamespace(**{name: name for name in hardware_levels}),
    )


def refused(what: str) -> EngineError:
    return EngineError(f"refused {what}")


def orders(config: FakeBuilderConfig, options: BuildOptions, *levels: str) -> None:
    trt = fake_tensorrt(*levels, aims=isinstance(config, FakeAimingConfig))
    give_orders(trt, config, options, "tensorrt", refused)


def test_plain_orders_only_make_fp32_exact() -> None:
    config = FakeBuilderConfig()
    orders(config, PLAIN)
    assert config.cleared == ["TF32"]
    assert (config.flags, config.pools) == ([], [])
    assert (config.builder_optimization_level, config.hardware_compatibility_level) == (3, "NONE")


def test_every_order_reaches_the_configuration() -> None:
    config = FakeBuilderConfig()
    options = replace(
        PLAIN,
        workspace_mib=256,
        optimisation_level=0,
        version_compatible=True,
        hardware_compatible="ampere+",
    )
    orders(config, options, "NONE", "AMPERE_PLUS")
    assert config.pools == [("WORKSPACE", 256 * 1024 * 1024)]
    assert config.builder_optimization_level == 0
    assert config.flags == ["VERSION_COMPATIBLE"]
    assert config.hardware_compatibility_level == "AMPERE_PLUS"


def test_the_same_compute_capability_needs_a_newer_version() -> None:
    options = replace(PLAIN, hardware_compatible="same-compute-capability")
    with pytest.raises(UsageError, match=r"TensorRT 10\.3\.0 does not know .*10\.9 or newer"):
        orders(FakeBuilderConfig(), options, "NONE", "AMPERE_PLUS")
    config = FakeBuilderConfig()
    orders(config, options, "NONE", "AMPERE_PLUS", "SAME_COMPUTE_CAPABILITY")
    assert config.hardware_compatibility_level == "SAME_COMPUTE_CAPABILITY"


def test_compute_capabilities_are_set_one_by_one() -> None:
    config = FakeAimingConfig()
    orders(config, replace(PLAIN, compute_capabilities=((8, 6), (12, 0))))
    assert config.num_compute_capabilities == 2
    assert config.aims == {0: "sm86", 1: "sm120"}


def test_a_library_that_cannot_aim_names_the_one_that_can() -> None:
    with pytest.raises(UsageError, match=r"cannot aim at 8\.6; .*build for tensorrt-rtx"):
        orders(FakeBuilderConfig(), replace(PLAIN, compute_capabilities=((8, 6),)))


def test_a_refused_compute_capability_is_an_error() -> None:
    with pytest.raises(EngineError, match=r"refused compute capability 8\.6"):
        orders(FakeAimingConfig(takes=False), replace(PLAIN, compute_capabilities=((8, 6),)))


@pytest.mark.parametrize(
    ("order", "words"),
    [
        ({"workspace_mib": 256}, "no workspace limit.*build for tensorrt"),
        ({"version_compatible": True}, "lean runtime, which it does not have"),
        ({"hardware_compatible": "ampere+"}, r"'ampere\+'.*give a compute capability, 8\.6"),
        ({"hardware_compatible": "same-compute-capability"}, "knows no hardware compat"),
    ],
)
def test_tensorrt_rtx_refuses_what_only_tensorrt_can_do(order: dict, words: str) -> None:
    options = replace(PLAIN, **order)
    with pytest.raises(UsageError, match=words):
        refuse_unfit(options, "tensorrt-rtx")
    refuse_unfit(options, "tensorrt")


def test_tensorrt_rtx_takes_what_it_can_do() -> None:
    refuse_unfit(
        replace(PLAIN, optimisation_level=5, compute_capabilities=((8, 6),)), "tensorrt-rtx"
    )


def test_tensorrt_refuses_to_aim_before_it_is_imported() -> None:
    with pytest.raises(UsageError, match=r"cannot aim at 8\.6; .*build for tensorrt-rtx"):
        refuse_unfit(replace(PLAIN, compute_capabilities=((8, 6),)), "tensorrt")


def test_unknown_compute_capabilities_are_refused_without_a_builder() -> None:
    trt = fake_tensorrt(aims=True)
    refuse_unknown_aims(trt, replace(PLAIN, compute_capabilities=((12, 0),)), "tensorrt-rtx")
    refuse_unknown_aims(fake_tensorrt(), PLAIN, "tensorrt")
    with pytest.raises(UsageError, match=r"capability 9\.99; it knows 8\.6, 12\.0"):
        refuse_unknown_aims(trt, replace(PLAIN, compute_capabilities=((9, 99),)), "tensorrt-rtx")


@pytest.mark.parametrize(
    ("aims", "precision", "words"),
    [
        (((7, 5),), "int8", "tensorrt-rtx computes int8 graphs in half for compute capability 7.5"),
        (((7, 5), (8, 6)), "int8", "so it may be for 8.6 in the same engine"),
        (((7, 5),), "fp16", ""),
        (((8, 6),), "int8", ""),
        ((), "int8", ""),
    ],
)
def test_int8_on_turing_is_remarked_on(
    aims: tuple[tuple[int, int], ...], precision: str, words: str
) -> None:
    remark = remark_on(replace(PLAIN, compute_capabilities=aims), "tensorrt-rtx", precision)
    assert words in remark
    assert bool(remark) == bool(words)
