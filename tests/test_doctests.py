"""Examples in docstrings are run, module by module."""

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
STAGES = ("calib", "cli", "core", "export", "runtime", "train")
WITH_EXAMPLES = [
    path.relative_to(ROOT)
    for stage in STAGES
    for path in sorted((ROOT / stage).rglob("*.py"))
    if ">>> " in path.read_text(encoding="utf-8")
]


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=Path.as_posix)
def test_examples_in_docstrings_are_true(path: Path) -> None:
    module = importlib.import_module(".".join(("crispstream", *path.with_suffix("").parts)))
    result = doctest.testmod(module)
    assert result.attempted
    assert not result.failed
