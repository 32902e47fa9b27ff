"""`crispstream verify` from the user's side: the table, the copy, and exit codes."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from crispstream.cli.main import main
from crispstream.core.bundle import Bundle
from tests.helpers.bundles import write_tiny_bundle
from tests.helpers.graphs import edge_like, nearest_x4
from tests.helpers.sets import edge_graphs, write_pairs, write_source


@pytest.fixture
def words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The command line for a bundle that passes."""
    monkeypatch.setenv("COLUMNS", "120")
    bundle = write_source(tmp_path / "tiny").path
    return ["verify", str(bundle), "--pairs", str(write_pairs(tmp_path / "pairs"))]


def failing(folder: Path) -> str:
    """Write a bundle whose fp16 graph is of another network."""
    graphs = {"fp32": edge_like(), "fp16": edge_like(half=True, seed=1, gain=4)}
    return str(write_source(folder, graphs).path)


def test_a_table_is_shown_and_nothing_written(words, tmp_path, capsys) -> None:
    before = sorted(tmp_path.rglob("*"))
    assert main(words) == 0
    out = capsys.readouterr().out
    rows = {line.split()[0]: line for line in out.splitlines() if line.strip()}
    assert rows["fp32"].endswith("by export  ") or rows["fp32"].rstrip().endswith("by export")
    assert rows["fp16"].rstrip().endswith("yes, emulated")
    assert "nothing was written; keep this certificate with: -o FOLDER" in out
    assert sorted(tmp_path.rglob("*")) == before


def test_a_copy_is_written_with_the_certificate(words, tmp_path, capsys) -> None:
    assert main([*words, "-o", str(tmp_path / "copy")]) == 0
    assert f"wrote {tmp_path / 'copy'} with this certificate" in capsys.readouterr().out
    source, copy = Bundle.load(Path(words[1])), Bundle.load(tmp_path / "copy")
    assert copy.certified(copy.graph("fp16"))
    assert not source.certified(source.graph("fp16"))
    assert all(copy.layers_of(graph).layers for graph in copy.graphs)


def test_json_is_all_there_is_on_standard_output(words, capsys) -> None:
    assert main([*words, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["passed"] is True
    assert facts["certificate"]["fp16"]["judged_by"] == "verification"
    assert facts["certificate"]["fp16"]["frames"] == 2


def test_a_graph_that_fails_is_an_exit_code_and_a_reason(words, tmp_path, capsys) -> None:
    words[1] = failing(tmp_path / "bad")
    assert main([*words, "-o", str(tmp_path / "copy")]) == 1
    out = capsys.readouterr().out
    assert "fp16 failed: " in out
    assert "below fp32, at most 0.1 is allowed" in out
    copy = Bundle.load(tmp_path / "copy")
    assert not copy.certified(copy.graph("fp16"))
    assert copy.certificate_of(copy.graph("fp16"))["reason"] in out


def test_a_failure_is_told_in_json_too(words, tmp_path, capsys) -> None:
    words[1] = failing(tmp_path / "bad")
    assert main([*words, "--json"]) == 1
    facts = json.loads(capsys.readouterr().out)
    assert facts["passed"] is False
    assert facts["certificate"]["fp16"]["passed"] is False


def test_a_page_is_written(words, tmp_path) -> None:
    assert main([*words, "--html", str(tmp_path / "page.html")]) == 0
    assert "tiny: certificate" in (tmp_path / "page.html").read_text()


def test_a_bundle_that_export_did_not_certify_does_not_pass(words, tmp_path, capsys) -> None:
    words[1] = str(write_tiny_bundle(tmp_path / "bare", edge_graphs()).path)
    assert main(words) == 1
    row, why = [line for line in capsys.readouterr().out.splitlines() if line.startswith("fp32")]
    assert row.rstrip().endswith("no")
    assert "lacks export's parity" in why


def test_a_loss_that_is_no_number_is_shown(words, tmp_path, capsys) -> None:
    # fp32 gives these frames exactly and int8 does not, so it loses infinitely many dB.
    frame = np.full((12, 16, 3), 90, np.uint8)
    for side, image in (("lr", frame), ("hr", frame.repeat(4, 0).repeat(4, 1))):
        (tmp_path / "exact" / side).mkdir(parents=True)
        assert cv2.imwrite(str(tmp_path / "exact" / side / "a.png"), image)
    graphs = {"fp32": nearest_x4(), "int8": edge_like()}
    words[1:] = [str(write_source(tmp_path / "b", graphs).path), "--pairs", str(tmp_path / "exact")]
    assert main(words) == 1
    assert "int8 failed: PSNR is inf dB below fp32" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--pairs", "nowhere"], "'nowhere' is no folder of pairs"),
        (["-o", "{tiny}"], "--overwrite"),
        (["--html", "{tiny}/bundle.json/page.html"], "cannot be written"),
    ],
)
def test_bad_usage(words, capsys, options, told) -> None:
    assert main([*words, *(option.format(tiny=words[1]) for option in options)]) == 2
    assert told in capsys.readouterr().err


def test_an_unknown_bundle_is_bad_usage(words, capsys) -> None:
    words[1] = "edge-x"
    assert main(words) == 2
    assert "there is no model 'edge-x'" in capsys.readouterr().err


def test_a_tampered_bundle_is_a_failure(words, capsys) -> None:
    (Path(words[1]) / "fp32.onnx").write_bytes(b"tampered")
    assert main(words) == 1
    assert "copy the bundle again" in capsys.readouterr().err


def test_the_page_of_the_command_has_an_example(capsys) -> None:
    assert main(["verify", "--help"]) == 0
    page = capsys.readouterr().out
    assert "Example: crispstream verify bundles/edge-s-int8 --html certificate.html" in page
