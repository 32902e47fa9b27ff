"""`crispstream calibrate` from the user's side: what is made, what is said, and exit codes."""

import json
from pathlib import Path

import pytest

from crispstream.calib.certify import verify
from crispstream.cli.main import main
from crispstream.core.bundle import Bundle
from tests.helpers.bundles import write_tiny_bundle
from tests.helpers.pictures import soft_picture
from tests.helpers.sets import edge_graphs, write_pairs, write_set, write_source


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr(verify, "SPEED_SIZE", (32, 24))


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    """The command line without what a test adds."""
    bundle = write_source(tmp_path / "tiny").path
    frames = write_set(tmp_path / "set").path
    pairs = write_pairs(tmp_path / "pairs")
    told = ["calibrate", bundle, "--set", frames, "--pairs", pairs, "-o", tmp_path / "new"]
    return [str(word) for word in told]


def test_a_bundle_is_made_and_the_certificate_shown(words, tmp_path, capsys) -> None:
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "ranges: mse over 3 frames\n" in out
    assert "int8.onnx: 3 of 7 convolutions in INT8\n" in out
    assert "int8-cpu.onnx: 3 of 7 convolutions in INT8\n" in out
    rows = [line.split() for line in out.splitlines()]
    certified = {row[0]: row[-1] for row in rows if row and row[0] in ("fp16", "int8", "int8-cpu")}
    assert certified == {"fp16": "emulated", "int8": "emulated", "int8-cpu": "yes"}
    assert f"wrote {tmp_path / 'new'}; next: crispstream run clip.mp4 sharp.mp4" in out
    made = Bundle.load(tmp_path / "new")
    assert all(made.certified(graph) for graph in made.graphs)
    assert all(made.layers_of(graph).layers for graph in made.graphs)


def test_the_frames_are_restored_by_the_next_command(words, tmp_path) -> None:
    from crispstream.runtime.restorer import Restorer

    assert main(words) == 0
    frame = soft_picture(0, 24, 32)
    with Restorer.open(str(tmp_path / "new"), precision="int8", size=(32, 24)) as restorer:
        assert restorer.precision == "int8-cpu"
        assert restorer.restore(frame).shape == (96, 128, 3)


def test_a_second_run_says_that_ranges_were_kept(words, tmp_path, capsys) -> None:
    assert main(words) == 0
    capsys.readouterr()
    assert main([*words, "--overwrite"]) == 0
    assert "ranges: mse over 3 frames (kept from an earlier run)" in capsys.readouterr().out


def test_json_is_all_there_is_on_standard_output(words, tmp_path, capsys) -> None:
    assert main([*words, "--json", "--plan", "--keep", "50"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["bundle"] == str(tmp_path / "new")
    assert (facts["passed"], facts["method"], facts["frames"]) == (True, "mse", 3)
    assert facts["cache_hit"] is False
    assert set(facts["layers"]) == {"int8", "int8-cpu"}
    assert facts["certificate"]["int8-cpu"]["passed"] is True
    for one in facts["sensitivity"]:
        assert one["chosen"]["layers"] == facts["layers"][one["flavour"]]
        assert len(one["losses"]) == 7


def test_a_plan_is_told(words, capsys) -> None:
    assert main([*words, "--plan", "--keep", "50"]) == 0
    out = capsys.readouterr().out
    for flavour in ("int8", "int8-cpu"):
        assert f"{flavour}: layers" in out
    assert out.count(" chosen") == 2


def test_a_plan_that_keeps_too_little_is_bad_usage(words, tmp_path, capsys) -> None:
    assert main([*words, "--plan", "--keep", "110"]) == 2
    assert "no choice of layers keeps 110 dB in int8, the best keeps " in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_layers_that_fp16_cannot_hold_are_named(words, tmp_path, capsys) -> None:
    assert main(words) == 0
    plan = json.loads((tmp_path / "new/calibration/plan.json").read_text())
    plan["graphs"]["int8"]["layers"].append("/head/Conv")
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    # Ranges so small that no scale of the first layer is a normal fp16 number.
    ranges = json.loads((tmp_path / "new/calibration/ranges.json").read_text())
    ranges["tensors"]["levels"] = {"amax": 1e-6, "low": 0.0, "high": 1e-6}
    (tmp_path / "ranges.json").write_text(json.dumps(ranges))
    capsys.readouterr()
    first = [words[1], "--ranges", str(tmp_path / "ranges.json"), "--pairs", words[5]]
    more = ["--layers", str(tmp_path / "plan.json"), "-o", str(tmp_path / "other")]
    assert main(["calibrate", *first, *more]) == 0
    told = capsys.readouterr().out
    assert (
        "int8.onnx: 3 of 7 convolutions in INT8; fp16 cannot hold the scales of /head/Conv" in told
    )


def test_a_page_is_written(words, tmp_path) -> None:
    assert main([*words, "--html", str(tmp_path / "page.html")]) == 0
    assert "tiny: calibration" in (tmp_path / "page.html").read_text()


def test_graphs_that_fail_are_written_and_what_to_do_is_told(words, tmp_path, capsys) -> None:
    words[3] = str(write_set(tmp_path / "drawn", synthetic=(0,)).path)
    assert main(words) == 1
    out = capsys.readouterr().out
    assert "int8 failed: it was calibrated on frames that no camera took (camera0.mp4)" in out
    assert "kept there with the evidence, but not offered. Try other frames" in out
    made = Bundle.load(tmp_path / "new")
    assert not made.certified(made.graph("int8-cpu"))


def test_a_method_is_chosen(words, tmp_path, capsys) -> None:
    assert main([*words, "--method", "percentile", "--skip-sides"]) == 0
    assert "ranges: percentile over 3 frames" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "words_told"),
    [
        ({"--set": None}, "give either --set FOLDER or --ranges FILE"),
        ({"--set": "nowhere"}, "there is no calibration set at 'nowhere'; make one with"),
        ({"--pairs": "nowhere"}, "'nowhere' is no folder of pairs"),
        ({"--method": "mean"}, "there is no method 'mean'; choose mse, percentile, entropy, max"),
        ({"--layers": "none.json"}, "'none.json' cannot be read"),
        ({"--ranges": "none.json", "--set": None}, "'none.json' cannot be read"),
        ({"--ranges": "none.json"}, "give either --set FOLDER or --ranges FILE"),
    ],
)
def test_bad_usage(words, tmp_path, capsys, change, words_told) -> None:
    options = {words[index]: words[index + 1] for index in (2, 4, 6)} | change
    asked = [word for pair in options.items() if pair[1] is not None for word in pair]
    assert main([*words[:2], *asked]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert words_told in captured.err
    assert captured.out == ""
    assert not (tmp_path / "new").exists()


def test_an_output_that_is_there_is_refused_first(words, tmp_path, capsys) -> None:
    write_tiny_bundle(tmp_path / "new")
    assert main(words) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert not (tmp_path / "cache").exists()  # nothing was measured


def test_a_damaged_bundle_is_a_failure_not_bad_usage(words, capsys) -> None:
    (Path(words[1]) / "fp16.onnx").write_bytes(b"damaged")
    assert main(words) == 1
    assert "copy the bundle again" in capsys.readouterr().err


def test_a_frame_of_another_colour_depth_fails(words, tmp_path, capsys) -> None:
    grey = soft_picture(0, 32, 40)[:, :, 0]
    words[3] = str(write_set(tmp_path / "grey", [grey, grey]).path)
    assert main(words) == 1
    assert "has 1 channel(s) of 8 bits, expected 3 of 8 bits" in capsys.readouterr().err


def test_the_page_of_the_command_has_an_example(capsys) -> None:
    assert main(["calibrate", "--help"]) == 0
    page = capsys.readouterr().out
    assert "Example: crispstream calibrate edge-s --set set -o bundles/edge-s-int8" in page
    assert "--skip-sides" in page


def test_the_bundle_needs_fp16_too(words, tmp_path, capsys) -> None:
    fp32 = {"fp32": edge_graphs()["fp32"]}
    words[1] = str(write_source(tmp_path / "half", fp32).path)
    assert main(words) == 1
    assert "has no fp16 graph, which INT8 is made from" in capsys.readouterr().err
