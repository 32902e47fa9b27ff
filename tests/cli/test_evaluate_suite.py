"""`crispstream data build crisp-v1` and `evaluate --suite`: from a media folder to a table."""

import json

import pytest

from crispstream.cli import evaluate_suite
from crispstream.cli.main import main
from crispstream.core.bicubic import upscale_x4
from crispstream.train.models.registry import build_network
from crispstream.train.suite import crisp_v1
from tests.helpers.bundles import write_tiny_bundle
from tests.helpers.graphs import edge_like
from tests.helpers.pictures import soft_picture
from tests.helpers.tiny_suite import PIECES, tiny_suite


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("place")


@pytest.fixture(scope="module")
def tiny(place):
    return tiny_suite(place / "media")


@pytest.fixture(autouse=True)
def cache(place, tiny, monkeypatch):
    monkeypatch.setattr(crisp_v1, "crisp_v1", lambda: tiny)
    monkeypatch.setenv("CRISPSTREAM_CACHE", str(place / "cache"))
    monkeypatch.setenv("COLUMNS", "240")


@pytest.fixture(scope="module")
def bundle(place):
    graphs = {"fp32": edge_like("height", "width")}
    write_tiny_bundle(place / "tiny", graphs, size_multiple=4)
    return str(place / "tiny")


def build(place, capsys, *words):
    assert main(["data", "build", "crisp-v1", str(place / "media"), *words, "--workers", "1"]) == 0
    return capsys.readouterr().out


def test_it_is_built_in_the_cache_and_says_what_differs(place, tiny, capsys, monkeypatch):
    told = " ".join(build(place, capsys).split())
    where = place / "cache/suites/crisp-v1"
    assert f"next: crispstream evaluate --suite crisp-v1 edge-s bicubic --data {where}" in told
    assert "not the published ones, for another version" in told
    found = json.loads(build(place, capsys, "--json"))
    assert found["changed_parts"] == list(tiny.parts)
    assert found["items"] == len(PIECES)
    monkeypatch.setattr("crispstream.train.suite.reading.changed_parts", lambda *_: [])
    assert "its pictures are the published ones" in build(place, capsys)


def test_models_are_judged_where_it_was_built(place, bundle, capsys):
    build(place, capsys)
    words = ["evaluate", "--suite", "crisp-v1", bundle, "bicubic", "bicubic-unsharp"]
    assert main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found["models"]) == [bundle, "bicubic", "bicubic-unsharp"]
    assert found["models"]["bicubic"]["summary"]["synthetic"] == 0
    assert found["models"][bundle]["sharp"]["gain_db"] != 0
    assert found["models"]["bicubic-unsharp"]["still"]["flicker"] > 0
    assert main(words) == 0
    table = capsys.readouterr().out
    assert "synthetic" in table
    assert "(truth)" in table
    assert "Not the published pictures: motion-weak" in table
    assert main([*words, "--parts"]) == 0
    table = capsys.readouterr().out
    rows = [line for line in table.splitlines() if line.startswith("│ h264-low")]
    assert len(rows) == 3  # one a model


def test_a_bundle_gives_frames_of_their_own_and_forgets(bundle):
    class FakeRestorer:
        forgotten = 0

        def __init__(self):
            self.buffer = None

        def restore(self, frame_hwc):
            self.buffer = upscale_x4(frame_hwc)
            return self.buffer

        def reset(self):
            self.forgotten += 1

    restorer = FakeRestorer()
    model = evaluate_suite.OfBundle(restorer)
    kept = model.restore(soft_picture(0, 8, 8))
    restorer.buffer[:] = 0
    assert kept.any()
    model.reset()
    assert restorer.forgotten == 1


@pytest.mark.parametrize(("name", "kind"), [("edge-n", "Plain"), ("edge-s-r", "Stateful")])
def test_a_checkpoint_remembers_if_its_network_does(name, kind, monkeypatch):
    monkeypatch.setattr(evaluate_suite, "network_of", lambda _: build_network(name).eval())
    model = evaluate_suite._checkpoint("a.safetensors")
    assert type(model).__name__ == kind
    model.reset()
    assert model.restore(soft_picture(0, 12, 16)).shape == (48, 64, 3)


def test_figures_that_are_no_numbers_are_null():
    inner = {"psnr_db": float("inf"), "frames": 2, "worst": "a"}
    found = evaluate_suite._finite({"models": {"a": inner}, "parts": ["x"]})
    assert found == {"models": {"a": {**inner, "psnr_db": None}}, "parts": ["x"]}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--suite", "crisp-v2"], "there is no suite 'crisp-v2'; did you mean 'crisp-v1'?"),
        (["--suite", "crisp-v1", "--protocol", "gfn"], "leave out --protocol and --ensemble"),
        (["--suite", "crisp-v1", "--ensemble"], "leave out --protocol and --ensemble"),
        ([], "name a folder with --data, or --suite crisp-v1"),
        (["--data", ".", "--parts"], "--parts is for --suite"),
    ],
)
def test_what_cannot_be_is_one_sentence(words, said, capsys):
    assert main(["evaluate", "bicubic", *words]) == 2
    assert said in " ".join(capsys.readouterr().err.split())


def test_the_command_that_builds_it_is_told(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CRISPSTREAM_CACHE", str(tmp_path))
    assert main(["evaluate", "bicubic", "--suite", "crisp-v1"]) == 2
    error = " ".join(capsys.readouterr().err.split())
    assert error.endswith("build it: crispstream data build crisp-v1 SRC")
    assert main(["evaluate", "bicubic", "--suite", "crisp-v1", "--data", str(tmp_path / "x")]) == 2
    error = " ".join(capsys.readouterr().err.split())
    assert error.endswith(f"build it: crispstream data build crisp-v1 SRC {tmp_path / 'x'}")


def test_other_sets_must_be_given_a_place(place, capsys):
    assert main(["data", "build", "sisr", str(place)]) == 2
    assert "crispstream data build sisr SRC DST" in " ".join(capsys.readouterr().err.split())
