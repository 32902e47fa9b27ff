"""`crispstream run` as a process: signals, exit codes, what is printed where."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from crispstream.runtime.stream.sources.synth import read_counter
from tests.helpers.media import pictures_of, write_video

ROOT = Path(__file__).parents[3]


def _command(*words: object) -> list[str]:
    return [sys.executable, "-m", "crispstream.cli.main", "run", *map(str, words)]


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def _run(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        _command(*words), capture_output=True, text=True, env=_environment(), check=False, cwd=ROOT
    )


def test_json_is_one_line_on_stdout_and_nothing_else(tmp_path: Path) -> None:
    source, target = tmp_path / "in.mp4", tmp_path / "out.mp4"
    write_video(source, frames=6)
    report, html = tmp_path / "r.json", tmp_path / "r.html"
    ran = _run(source, target, "--model", "bicubic", "--json", "--report", report, "--html", html)
    assert (ran.returncode, ran.stderr) == (0, "")
    (line,) = ran.stdout.splitlines()
    figures = json.loads(line)
    assert figures["frames"] == 6
    assert figures == json.loads(report.read_text())
    assert html.read_text().lower().startswith("<!doctype html")
    assert [read_counter(p, 64, 48) for p in pictures_of(target)] == list(range(6))


def test_table_is_printed_for_people() -> None:
    ran = _run("synth://pattern?size=32x32&frames=3", "null://", "--model", "bicubic")
    assert ran.returncode == 0
    assert "infer" in ran.stdout
    assert "\x1b" not in ran.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_finishes_the_file(tmp_path: Path, name: str) -> None:
    number = getattr(signal, name)
    target = tmp_path / "out.mp4"
    source = "synth://pattern?size=64x48&fps=50&frames=100000&live=1"
    process = subprocess.Popen(
        _command(source, target, "--model", "bicubic", "--json"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=_environment(),
        cwd=ROOT,
    )
    while not target.exists() and process.poll() is None:  # it appears with the first frame
        time.sleep(0.01)
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    figures = json.loads(stdout)
    frames = figures["frames"]
    counted = f"{frames} frame{'s' * (frames != 1)}"
    assert stderr == f"stopped by {name} after {counted}; all outputs are finished\n"
    assert figures["stopped"] is True
    numbers = [read_counter(picture, 64, 48) for picture in pictures_of(target)]
    assert len(numbers) == frames > 0
    assert numbers == sorted(set(numbers))  # what is live may skip some


def test_corrupt_video_is_one_sentence_and_its_good_part_plays(tmp_path: Path) -> None:
    source, target = tmp_path / "corrupt.mp4", tmp_path / "out.mp4"
    intra = {"g": "1", "preset": "ultrafast"}
    write_video(source, frames=40, options=intra, container_options={"movflags": "faststart"})
    data = bytearray(source.read_bytes())
    data[len(data) // 2 :] = bytes(len(data) - len(data) // 2)
    source.write_bytes(data)
    ran = _run(source, target, "--model", "bicubic")
    assert ran.returncode == 1
    assert ran.stderr.count("\n") == 1
    assert "corrupt after" in ran.stderr
    numbers = [read_counter(picture, 64, 48) for picture in pictures_of(target)]
    assert numbers[:10] == list(range(10))  # the torn frame itself may show an older picture
    assert 10 < len(numbers) < 40


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("nowhere.mp4", "null://"), 2, "nowhere.mp4"),
        (("synth://pattern", "null://", "--model", "edge-xxl"), 2, "edge-xxl"),
        (("synth://pattern", "null://", "--policy", "newest"), 2, "all, latest"),
        (("synth://pattern", "out.xyz"), 2, ".mp4"),
        (("synth://pattern", "no/such/folder/out.mp4"), 1, "no/such/folder"),
        (("LICENSE", "null://"), 1, "not a video"),
        (("synth://pattern?size=9x9", "null://"), 2, "16x16"),
        (("synth://pattern", "out.png"), 2, "--limit 1"),
        (("synth://pattern", "out.png", "--limit", "2"), 2, "--limit 1"),
        (("synth://pattern", "null://", "--fps", "5"), 2, "rate of its own"),
        (("synth://pattern?size=5000x16", "out.mp4"), 2, "16384"),
        (("synth://pattern", "null://", "--report", "no/such/r.json"), 2, "no/such"),
    ],
)
def test_bad_requests_end_in_one_sentence(words: tuple[str, ...], code: int, says: str) -> None:
    model = () if "--model" in words else ("--model", "bicubic")
    ran = _run(*words, *model)
    assert ran.returncode == code
    assert says in ran.stderr
    assert "Traceback" not in ran.stderr
    assert ran.stderr.count("\n") == 1
    assert ran.stdout == ""


def test_odd_and_tiny_sizes_are_handled(tmp_path: Path) -> None:
    for size, expected in (("321x179", (716, 1284, 3)), ("16x16", (64, 64, 3))):
        target = tmp_path / f"{size}.mp4"
        ran = _run(f"synth://pattern?size={size}&frames=2", target, "--model", "bicubic")
        assert ran.returncode == 0, ran.stderr
        assert [picture.shape for picture in pictures_of(target)] == [expected] * 2
