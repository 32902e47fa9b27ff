"""How long `make demo` takes on a fresh machine: a bare clone, an empty package cache.

It measures the network as much as the machine; packages are downloaded anew unless
--with-cache is given.
"""

import os
import subprocess
import tempfile
import time
from pathlib import Path

from common import ROOT, Limit, arguments, publish, result

AT_MOST_SECONDS = 300.0
PROMISED = ("restored.mp4", "before_after.png", "report.html", "report.json")


def demo_seconds(folder: Path, *, cached: bool) -> float:
    """Clone what is committed, run the demo, check that it left what it promises."""
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    environment = dict(os.environ)
    for name in ("PYTHONPATH", "VIRTUAL_ENV"):
        environment.pop(name, None)
    if not cached:
        environment["PIP_NO_CACHE_DIR"] = "1"
    begun = time.perf_counter()
    subprocess.run(
        ["make", "demo"], cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL
    )
    seconds = time.perf_counter() - begun
    missing = [name for name in PROMISED if not (folder / "build/demo" / name).is_file()]
    if missing:
        raise SystemExit(f"make demo left no {', '.join(missing)}")
    return seconds


def main() -> None:
    """Measure once."""
    parser = arguments(__doc__)
    parser.add_argument("--with-cache", action="store_true", help="use the machine's pip cache")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        seconds = demo_seconds(Path(folder) / "clone", cached=chosen.with_cache)
    settings = {"pip_cache": chosen.with_cache}
    limits = {"seconds": Limit(seconds, AT_MOST_SECONDS)}
    publish(
        result("demo_time", settings=settings, figures={"seconds": seconds}, limits=limits), chosen
    )


if __name__ == "__main__":
    main()
