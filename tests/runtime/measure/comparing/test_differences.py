from dataclasses import replace

from crispstream.runtime.measure.comparing.differences import differences
from crispstream.runtime.measure.from_json import from_json
from crispstream.runtime.measure.records import RunRecord
from tests.helpers.compared import HOST, SETTINGS, STEADY, bench, plan, profile, run_content


def told(a, b) -> dict[str, tuple[str, str]]:
    return {each.key: (each.a, each.b) for each in differences(a, b)}


def test_two_of_the_same_differ_in_nothing():
    for record in (bench(), profile(layers_ms={"a": 1.0}), plan()):
        assert differences(record, record) == ()


def test_settings_host_and_versions_of_a_bench_are_told_by_their_keys():
    settings = replace(SETTINGS, size=(640, 360), threads=None, paced_fps=30.0, seed=7)
    host = replace(HOST, cores=4, packages={"crispstream": "0.2.0", "onnxruntime": "1.30"})
    assert told(bench(), bench(settings=settings, host=host)) == {
        "settings.size": ("320x180", "640x360"),
        "settings.paced_fps": ("", "30"),
        "settings.threads": ("2", ""),
        "host.cores": ("2", "4"),
        "host.packages.crispstream": ("0.1.0", "0.2.0"),
        "host.packages.numpy": ("2.0", ""),
        "host.packages.onnxruntime": ("", "1.30"),
    }


def test_another_network_under_the_same_name_is_told():
    a, b = bench(), bench()
    changed = replace(b.variants[0], graph_sha256="cd" * 32, backend="tensorrt")
    b = replace(b, variants=(changed, b.variants[1]))
    assert told(a, b) == {
        "variants.edge-n fp32.backend": ("onnxruntime-cpu", "tensorrt"),
        "variants.edge-n fp32.graph_sha256": ("abababababab", "cdcdcdcdcdcd"),
    }


def test_gpu_driver_and_the_library_that_ran_are_told():
    host = replace(HOST, packages={**HOST.packages, "tensorrt": "10.7.0"})
    a = bench(host=replace(host, gpu="NVIDIA L4", driver="550.54"))
    b = bench(host=replace(host, gpu="NVIDIA L4", driver="580.65"))
    why = replace(b.variants[0], why="tensorrt 10.7.0 on NVIDIA L4")
    b = replace(b, variants=(replace(why, why="tensorrt 10.9.0 on NVIDIA L4"), b.variants[1]))
    a = replace(a, variants=(why, a.variants[1]))
    assert told(a, b) == {
        "variants.edge-n fp32.why": (
            "tensorrt 10.7.0 on NVIDIA L4",
            "tensorrt 10.9.0 on NVIDIA L4",
        ),
        "host.driver": ("550.54", "580.65"),
    }


def test_of_variants_that_one_has_alone_nothing_is_told():
    one = bench({"edge-n fp32": STEADY["edge-n fp32"]})
    assert told(bench(), one) == {}


def test_clocks_and_load_are_told_where_they_differ_by_more_than_a_little():
    a = bench(gpu_clock_mhz=1980.0, gpu_throttle="", stolen_share=0.001, gpu_temperature_c=40.0)
    b = bench(gpu_clock_mhz=1900.0, gpu_throttle="power cap", stolen_share=0.015, load_average=0.9)
    assert told(a, b) == {
        "readings.gpu_throttle": ("", "power cap"),
        "readings.gpu_temperature_c": ("40", ""),
    }
    slower = bench(gpu_clock_mhz=1400.0, load_average=2.5)
    fields = ("readings.gpu_clock_mhz", "readings.load_average")
    assert {key: told(a, slower)[key] for key in fields} == {
        "readings.gpu_clock_mhz": ("1980", "1400"),
        "readings.load_average": ("0.5", "2.5"),
    }


def test_of_profiles_runs_and_plans_what_ran_is_told():
    other = run_content(policy="latest", budget_ms=33.0, live=True)
    assert told(profile(), replace(profile(layers_ms={"a": 1.0}), run=other, size=(640, 384))) == {
        "run.policy": ("all", "latest"),
        "run.live": ("no", "yes"),
        "run.budget_ms": ("", "33"),
        "size": ("320x192", "640x384"),
        "layers.how": ("not timed", "a clock"),
    }
    runs = [from_json(RunRecord, content) for content in (run_content(), other)]
    assert set(told(*runs)) == {"policy", "live", "budget_ms"}
    device = replace(plan().device, name="other", title="in words")
    assert told(plan(), plan(device=device, precision="int8")) == {
        "precision": ("fp16", "int8"),
        "device.name": (plan().device.name, "other"),
    }
