"""The page of all networks is the one that its script writes."""

import pytest

from benchmarks import networks_page


@pytest.mark.slow
def test_writing_the_page_again_changes_nothing():
    text = networks_page.PAGE.read_text(encoding="utf-8")
    assert networks_page.page(text) == text, "run benchmarks/networks_page.py"


def test_a_table_is_put_into_its_place(monkeypatch):
    monkeypatch.setattr(networks_page, "TABLES", {"a": lambda: "new", "b": lambda: "| x |"})
    text = "words\n<!-- a -->\n\nold\n\n<!-- end -->\nmore\n<!-- b -->\n<!-- end -->\n"
    written = networks_page.page(text)
    assert written == (
        "words\n<!-- a -->\n\nnew\n\n<!-- end -->\nmore\n<!-- b -->\n\n| x |\n\n<!-- end -->\n"
    )
    assert networks_page.page(written) == written
    with pytest.raises(ValueError, match="no place for the table 'b'"):
        networks_page.page("<!-- a -->\n<!-- end -->\n<!-- b -->\n")


def test_counts_are_those_worked_by_hand():
    """SRResNet: kernel x in x out at LR size, four times as many pixels after each shuffle."""
    block, up = 9 * 64 * 64, 9 * 64 * 256
    lr = 49 * 3 * 64 + 16 * 2 * block + block + up
    per_pixel = lr + 4 * up + 16 * (block + 9 * 64 * 3)
    assert networks_page.counted("srresnet") == (1_562_179, 320 * 180 * per_pixel)


def test_sizes_that_differ_between_precisions_are_told_apart():
    built = {
        "fp32": {"size": "160x120", "onnx_mb": 1.26},
        "fp16": {"failed": "more than 900 s"},
    }
    assert networks_page._exported("x", built) == ("1.3 / -", "fp32: 160x120, fp16: no")
    built["fp16"] = {"size": "160x120", "onnx_mb": 0.7}
    assert networks_page._exported("x", built) == ("1.3 / 0.7", "yes, at 160x120")
    assert networks_page._exported("x", {}) == ("-", "-")
