"""docs/pitfalls.md names 25 pitfalls, and tests that are there."""

import re
from pathlib import Path

TESTS = Path(__file__).parent
PAGE = (TESTS.parent / "docs/pitfalls.md").read_text(encoding="utf-8")


def test_every_test_that_the_page_names_is_there() -> None:
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", PAGE)
    missing = [
        f"{file}::{name}"
        for file, name in named
        if not (TESTS / file).is_file()
        or f"def {name}(" not in (TESTS / file).read_text(encoding="utf-8")
    ]
    assert len(named) > 40
    assert missing == []


def test_there_are_25_and_each_has_a_test_or_says_why_it_does_not_apply() -> None:
    rows = re.findall(r"^\| (\d+) \|(.*)\|$", PAGE, flags=re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, 26))
    assert all("::" in row or "does not apply" in row for _, row in rows)
