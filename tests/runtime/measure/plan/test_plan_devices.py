"""The table of devices, and tables of one's own."""

from pathlib import Path

import pytest

from crispstream.core.errors import UsageError
from crispstream.runtime.measure.plan.devices import device_names, find_device

GPUS = device_names()[:-1]
RATES = "dense_tera_ops = { fp32 = 2.0, fp16 = 16, int8 = 32 }\n"
MEMORY = "memory_gb_per_second = 100\nmemory_gb = 8\n"


def own(folder: Path, text: str) -> Path:
    path = folder / "own.toml"
    path.write_text(text)
    return path


def test_the_table_has_the_devices_people_ask_for_and_this_cpu_last() -> None:
    wanted = {
        *("orin-nano", "orin-nano-15w", "orin-nx", "agx-orin", "agx-thor", "t4", "l4", "l40"),
        *("rtx-3060", "rtx-3090", "rtx-4060", "rtx-4090", "rtx-5070", "rtx-5090"),
        *("a100", "h100-pcie", "h100-sxm", "h200"),
    }
    assert wanted <= set(GPUS)
    assert device_names()[-1] == "cpu"


@pytest.mark.parametrize("name", GPUS)
def test_each_device_has_sources_and_figures_that_can_be(name: str) -> None:
    device = find_device(name)
    rates = device.tera_macs

    assert device.name == name
    assert any(words in device.sources[0] for words in ("data sheet", "paper", "Brief", "page",
                                                         "Blog"))  # fmt: skip
    assert "lowest figure" in device.sources[-1]
    assert device.launch_us == 0.5  # of every one: the least that is known, for a lower bound
    assert rates["int8"] == pytest.approx(2 * rates["fp16"], rel=0.02)  # Turing to Blackwell
    assert 1.9 < rates["fp16"] / rates["fp32"] < 33
    assert 8 <= device.memory_gb <= 141
    assert 68 <= device.memory_gb_per_second <= 4800
    assert 60 < 1e3 * rates["fp16"] / device.memory_gb_per_second < 500
    assert (device.kind, device.measured) == ("gpu", False)


@pytest.mark.parametrize(
    ("name", "tera_macs", "speed"),
    [("l4", 60.5, 300), ("t4", 32.5, 320), ("h200", 494.75, 4800), ("orin-nano", 8.35, 102)],
)
def test_rates_are_dense_multiply_accumulates(name: str, tera_macs: float, speed: float) -> None:
    device = find_device(name)
    assert device.tera_macs["fp16"] == pytest.approx(tera_macs)
    assert device.memory_gb_per_second == speed


@pytest.mark.parametrize(
    ("family", "ratio"),
    [(("rtx-3060", "rtx-3070", "rtx-3080", "rtx-3090"), 4), (("rtx-4060", "rtx-4080"), 4),
     (("rtx-5070", "rtx-5080", "rtx-5090"), 4), (("orin-nano", "orin-nx", "agx-orin"), 8),
     (("a100", "a100-40gb"), 16)],
)  # fmt: skip
def test_devices_of_one_architecture_have_one_ratio(family: tuple[str, ...], ratio: int) -> None:
    for name in family:
        rates = find_device(name).tera_macs
        assert rates["fp16"] / rates["fp32"] == pytest.approx(ratio, rel=0.01), name


def test_the_documentation_has_the_same_figures() -> None:
    text = (Path(__file__).parents[4] / "docs/plan.md").read_text(encoding="utf-8")
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| `")]
    told = {row[0].strip("| `"): [cell.strip(" |") for cell in row[1:]] for row in rows}
    assert tuple(told) == device_names()
    for name in GPUS:
        device = find_device(name)
        dense = [2 * device.tera_macs[precision] for precision in ("fp32", "fp16", "int8")]
        figures = [*dense, device.memory_gb_per_second, device.memory_gb]
        assert told[name] == [device.title, *map("{:g}".format, figures)]


@pytest.mark.parametrize("spelling", ["RTX 4090", "rtx4090", "rtx_4090", "Rtx-4090"])
def test_names_may_be_spelt_freely(spelling: str) -> None:
    assert find_device(spelling).name == "rtx-4090"


def test_an_unknown_device_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UsageError) as caught:
        find_device("orin-nanu")
    told = str(caught.value)
    assert "did you mean 'orin-nano'?" in told
    assert all(name in told for name in device_names())
    assert "TOML" in told


def test_a_toml_of_ones_own(tmp_path: Path) -> None:
    text = f'[device.mine]\ntitle = "My board"\n{RATES}{MEMORY}launch_us = 5\nsources = ["me"]\n'
    device = find_device(str(own(tmp_path, text)))
    assert (device.name, device.title, device.launch_us) == ("mine", "My board", 5)
    assert device.tera_macs == {"fp32": 1.0, "fp16": 8.0, "int8": 16.0}
    assert device.sources[0] == "me"


def test_a_toml_says_little_and_still_is_one(tmp_path: Path) -> None:
    path = own(tmp_path, f"[device.mine]\n{RATES}{MEMORY}")
    device = find_device(f"{path}:mine")
    assert (device.title, device.launch_us, device.kind) == ("mine", 0.5, "gpu")
    assert str(path) in device.sources[0]


def test_one_of_several_has_to_be_named(tmp_path: Path) -> None:
    path = own(tmp_path, "".join(f"[device.{name}]\n{RATES}{MEMORY}" for name in ("one", "two")))
    assert find_device(f"{path}:two").name == "two"
    with pytest.raises(UsageError, match=r"describes one, two; name .* --device .*own\.toml:one"):
        find_device(str(path))
    with pytest.raises(UsageError, match="no device 'tow'; did you mean 'two'"):
        find_device(f"{path}:tow")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[device.a\n", "is no TOML"),
        ("", "has the keys none outermost; expected a table"),
        ("[devices.a]\n", "has the keys devices outermost"),
        ("[device]\na = 1\n", "device.a is 1; expected a table"),
        (f"[device.a]\n{RATES}", "device.a.memory_gb_per_second is missing; expected a number"),
        (f"[device.a]\n{MEMORY}", "device.a.dense_tera_ops is missing; expected numbers for fp32"),
        (
            f"[device.a]\n{RATES}{MEMORY}launch_us = -1\n",
            "launch_us is -1; expected a number from 1e-06",
        ),
        (
            f"[device.a]\n{RATES}{MEMORY}launch_us = true\n",
            "launch_us is True; expected a number from 1e-06",
        ),
        (f"[device.a]\n{RATES}{MEMORY}kind = 'tpu'\n", "kind is 'tpu'; expected gpu or cpu"),
        (f"[device.a]\n{RATES}{MEMORY}sources = 'me'\n", "sources is 'me'; expected a list"),
        (f"[device.a]\n{RATES}{MEMORY}titel = 'x'\n", "no key 'titel'; did you mean 'title'"),
        (f"[device.a]\n{MEMORY}dense_tera_ops = {{ fp32 = 1, fp8 = 2 }}\n", "numbers for fp32"),
        (f"[device.a]\n{MEMORY}dense_tera_ops = {{ fp32 = 'x' }}\n", "dense_tera_ops.fp32 is 'x'"),
        (f"[device.a]\n{MEMORY}dense_tera_ops = {{ fp32 = inf }}\n", "dense_tera_ops.fp32 is inf"),
        (f"[device.a]\n{MEMORY}dense_tera_ops = {{ fp32 = 5e-324 }}\n", "fp32 is 5e-324; expected"),
        (
            f"[device.a]\n{RATES}memory_gb_per_second = 1\nmemory_gb = 1{'0' * 400}\n",
            r"memory_gb is 10+\.\.\.; expected a number from 1e-06 to 1e\+09",
        ),
        (f"[device.a]\n{RATES}{MEMORY}launch_us = 0x{'f' * 6000}\n", "launch_us is too long to be"),
        (f"[device.a]\n{RATES}{MEMORY}sources = {'[' * 5000}{']' * 5000}\n", "is no TOML"),
        (
            f"[device.a]\n{RATES}{MEMORY}launch_us.{'.'.join('a' * 3000)} = 1\n",
            "launch_us is |no TOML",
        ),
    ],
)
def test_a_faulty_toml_is_told_with_its_key(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(UsageError, match=told) as caught:
        find_device(str(own(tmp_path, text)))
    assert "own.toml" in str(caught.value)


def test_a_toml_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no\.toml' cannot be read .*orin-nano"):
        find_device(str(tmp_path / "no.toml"))


def test_a_toml_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="not UTF-8"):
        find_device(str(path))
