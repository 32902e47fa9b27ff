"""The tree in README.md: what is on disk, one line a file, described by the file itself.

`make tree` (or `python tests/helpers/tree.py`) writes it between the two markers of README.md;
tests/test_readme.py fails when the two differ.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
BEGIN, END = "<!-- tree: written by `make tree` -->\n```text\n", "```\n<!-- end of tree -->"
COLUMN = 30
# Folders at the top in the order data flows, then what stands around them, then the files.
ORDER = ("core", "train", "export", "calib", "runtime", "cli", "tests", "examples", "benchmarks")

# Made by tools, or present in every folder and said once in the text.
SKIPPED = re.compile(
    r"^(build|dist|runs|__pycache__|.*\.egg-info|\.(?!ci$|gitignore$|gitattributes$).*)$"
)
UNLISTED = {"__init__.py", "py.typed"}

# One line for the whole folder: its files are data, or mirror another folder.
FOLDED = {
    "runtime/bundles": "the shipped models, one bundle (graphs, certificate, card) a folder",
    "train/weights": "the weights of the shipped models, to fine-tune or export again",
    "runtime/measure/plan/probe": "two small graphs that the CPU's speed is measured with",
    "export/frames": "four LR frames that every exported graph is checked on",
    "benchmarks/gpu_check": "make gpu-check: builds, judges and times everything on a GPU",
    "examples/deploy": "images for a server and a Jetson, a systemd unit",
    "examples/media": "the sample clip, its truth and their credits",
    "tests": "mirrors the folders above; helpers/ has what several tests use",
    "benchmarks/results": "committed results, with the machine they come from",
    "docs/decisions": "why things are as they are, one page a choice",
}
FOLDERS = {
    ".ci": "what continuous integration runs",
    "benchmarks": "measuring scripts and what they measured",
    "docs": "how to use it, and why it is as it is",
    "docs/images": "pictures of the pages",
    "examples": "runnable stories",
}
FILES = {
    ".ci/run": "calls make test",
    ".gitattributes": "line endings, and which files are binary",
    ".gitignore": "what is made, not written",
    "CHANGELOG.md": "what changed, version by version",
    "CONTRIBUTING.md": "how to change it",
    "LICENSE": "Apache-2.0",
    "MANIFEST.in": "what a source archive carries besides the packages",
    "Makefile": "demo, test, lint, types, bundles; make help lists them",
    "README.md": "this page",
    "constraints.txt": "the exact versions that were tested",
    "calib/layout.html": "the frame of calib's HTML pages",
    "runtime/measure/pages/frame.html": "the frame of all its pages; the figures are filled in",
    "docs/experiments.md": "what was tried, with the figures",
    "docs/engines.md": "TensorRT engines: building, keeping, trusting and running them",
    "docs/jetson.md": "from a bare JetPack 6 to restored video",
    "docs/streams.md": "cameras, streams, sinks, deadlines: everything that is live",
    "docs/cameras.md": "a TOML file of several cameras, key by key",
    "docs/colour.md": "what is read, carried and written of colours, and how to check it",
    "examples/grafana-dashboard.json": "a Grafana dashboard of live metrics, to be imported",
    "runtime/measure/plan/devices.toml": "the devices, with the documents their figures are from",
    "docs/profiling.md": "where the time goes: bench, profile, plan, compare",
    "docs/bench.md": "how fast, and how sure",
    "docs/plan.md": "what a device could do at best, from the graph alone",
    "docs/reports.md": "the records as JSON, key by key, and comparing two",
    "docs/metrics.md": "live metrics for Prometheus and Grafana",
    "examples/cameras.toml": "several cameras in one process, to be run as it is",
    "runtime/stream/sinks/preview/page.html": "the page",
    "runtime/stream/sinks/preview/page.css": "its look",
    "runtime/stream/sinks/preview/page.js": "reads the stream and draws the pictures",
    "runtime/stream/sinks/preview/chart.js": "draws the chart of latencies",
    "docs/pitfalls.md": "25 ways such kits fail, and what this one does about each",
    "docs/gpu-check.md": "one command that measures everything on a machine with a GPU",
    "docs/getting-started.md": "from a clone to a restored video",
    "docs/benchmark.md": "crisp-v1, the kit's own benchmark: parts, judging, figures, sources",
    "docs/campaign.md": "training on borrowed machines: packs, limits, what comes home",
    "docs/fine-tuning.md": "a shipped model learns from your own footage, step by step",
    "docs/your-own-data.md": "training, judging and using a model of your own",
    "docs/networks.md": "all networks: size, cost, export, published figures",
    "docs/published-systems.md": "GFN, CNLRN, CMOS and others: data, training, protocols, export",
    "docs/python-api.md": "frames, streams and bundles from Python",
    "pyproject.toml": "packaging, dependencies, and every tool's settings",
}


def _first_sentence(path: Path) -> str:
    """Return a module's first docstring line, or a page's title."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        summary = (ast.get_docstring(ast.parse(text)) or "").split("\n\n", maxsplit=1)[0]
        return " ".join(summary.split()).removesuffix(".")
    return text.split("\n", maxsplit=1)[0].lstrip("# ") if path.suffix == ".md" else ""


def description(path: Path) -> str:
    """Return the one line of a file or folder: from the file itself where it says it."""
    name = path.relative_to(ROOT).as_posix()
    known = FILES | FOLDERS | FOLDED
    if name in known:
        return known[name]
    source = path / "__init__.py" if path.is_dir() else path
    return _first_sentence(source) if source.exists() else ""


def _position(path: Path) -> tuple[int, bool, str]:
    """Return a sort key: the top as in ORDER, below it files before folders."""
    at_top = path.parent == ROOT and path.name in ORDER
    rank = ORDER.index(path.name) if at_top else len(ORDER)
    return rank, path.is_dir() == (path.parent != ROOT), path.name.lower()


def entries(folder: Path = ROOT) -> Iterator[Path]:
    """Yield the listed files and folders, each folder before what is in it."""
    children = [c for c in folder.iterdir() if not SKIPPED.match(c.name) and c.name not in UNLISTED]
    for child in sorted(children, key=_position):
        if child.is_file():
            yield child
        elif any(child.iterdir()):
            yield child
            if child.relative_to(ROOT).as_posix() not in FOLDED:
                yield from entries(child)


def tree() -> str:
    """Return the tree as text, each line `name  description`, indented by depth."""
    lines = []
    for path in entries():
        depth = len(path.relative_to(ROOT).parts) - 1
        label = "  " * depth + path.name + ("/" if path.is_dir() else "")
        lines.append(f"{label:<{COLUMN}}{description(path)}".rstrip())
    return "\n".join(lines) + "\n"


def split_readme() -> tuple[str, str, str]:
    """Return README.md as the text before the tree, the tree, and the text after it."""
    before, rest = (ROOT / "README.md").read_text(encoding="utf-8").split(BEGIN)
    middle, after = rest.split(END)
    return before, middle, after


def main() -> int:
    """Write the tree into README.md."""
    before, _, after = split_readme()
    text = before + BEGIN + tree() + END + after
    (ROOT / "README.md").write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
