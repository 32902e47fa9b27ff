"""How long `crispstream run` takes from its start to the first restored frame.

A fresh process each time, as a user starts it. The output video is created when the first
restored frame reaches it, so its appearing on the disk is the end of the measurement. The
first start of a model is thrown away: it reads the program from a cold disk.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import MODELS, SAMPLE, Limit, arguments, median_and_range, publish, result

AT_MOST_SECONDS = 1.5
_POLL_SECONDS = 0.002


def first_frame_seconds(model: str, folder: Path) -> float:
    """Start one run, wait for its output to appear, let it end."""
    target = folder / "out.mp4"
    target.unlink(missing_ok=True)
    options = ["--model", model, "--limit", "3", "--json"]
    command = [sys.executable, "-m", "crispstream.cli.main", "run", str(SAMPLE), str(target)]
    begun = time.perf_counter()
    with subprocess.Popen([*command, *options], stdout=subprocess.DEVNULL) as process:
        while not target.exists():
            if process.poll() is not None and not target.exists():
                raise SystemExit(f"the run ended with code {process.returncode} and no output")
            time.sleep(_POLL_SECONDS)
        seconds = time.perf_counter() - begun
    return seconds


def main() -> None:
    """Measure each model several times."""
    parser = arguments(__doc__)
    parser.add_argument("--repeats", type=int, default=9)
    chosen = parser.parse_args()
    seconds: dict[str, list[float]] = {model: [] for model in MODELS}
    with tempfile.TemporaryDirectory() as folder:
        for repeat in range(chosen.repeats + 1):
            for model in MODELS:
                taken = first_frame_seconds(model, Path(folder))
                if repeat:
                    seconds[model].append(taken)
    figures = {f"{model}_seconds": median_and_range(seconds[model]) for model in MODELS}
    limits = {
        f"{model}_first_frame_seconds": Limit(
            figures[f"{model}_seconds"]["median"], AT_MOST_SECONDS
        )
        for model in MODELS
    }
    settings = {"repeats": chosen.repeats, "source": SAMPLE.name}
    publish(result("first_frame", settings=settings, figures=figures, limits=limits), chosen)


if __name__ == "__main__":
    main()
