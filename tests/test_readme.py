"""The pages tell the truth: tree, commands, make targets and Python examples."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from crispstream.cli.main import app
from tests.helpers.tree import split_readme, tree

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(page: Path, language: str) -> list[str]:
    text = page.read_text(encoding="utf-8")
    return [body for found, body in FENCE.findall(text) if found == language]


def commands(program: str) -> list[str]:
    """Return the shell lines of all pages that call a program, joined over backslashes."""
    text = "\n".join(block for page in PAGES for block in blocks(page, "sh"))
    lines = text.replace("\\\n", " ").splitlines()
    found = {line.strip() for line in lines if line.strip().split(" ")[0] == program}
    return sorted(found)


def test_the_tree_equals_the_disk() -> None:
    _, printed, _ = split_readme()
    assert printed.splitlines() == tree().splitlines(), "run `make tree`"


def test_every_line_of_the_tree_says_what_the_file_is_for() -> None:
    nameless = [line for line in tree().splitlines() if not re.search(r"\S {1,}\S", line.strip())]
    assert not nameless, f"give these a docstring, or a line in tests/helpers/tree.py: {nameless}"


@pytest.mark.parametrize("line", commands("crispstream"))
def test_commands_are_understood(line: str) -> None:
    group = typer.main.get_command(app)
    words = shlex.split(line, comments=True)[1:]
    if words[0].startswith("--"):
        return
    context = group.make_context("crispstream", list(words))
    name, command, rest = group.resolve_command(context, words)
    assert command is not None
    if "--help" not in rest:
        command.make_context(name, list(rest))


def test_commands_are_shown() -> None:
    assert {line.split()[1] for line in commands("crispstream")} >= {"run", "build", "train"}


@pytest.mark.parametrize("line", commands("make"))
def test_make_targets_exist(line: str) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    target = shlex.split(line, comments=True)[1]
    assert re.search(rf"^{re.escape(target)}:", makefile, re.MULTILINE)


@pytest.mark.slow
@pytest.mark.parametrize(
    "page", [p for p in PAGES if blocks(p, "python")], ids=lambda p: p.relative_to(ROOT).as_posix()
)
def test_python_examples_run(page: Path, tmp_path: Path) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    program = "\n".join(blocks(page, "python"))
    environment = os.environ | {"PYTHONPATH": str(ROOT / "build/links")}
    command = [sys.executable, "-W", "error", "-c", program]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_links_between_pages_lead_somewhere() -> None:
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in [*PAGES, ROOT / "CHANGELOG.md"]
        for target in re.findall(r"\]\((?!\w+://|#)([^)#]+)", page.read_text(encoding="utf-8"))
        if not (page.parent / target).exists()
    ]
    assert not broken
