"""The shipped models and the yardsticks on the kit's own benchmark, crisp-v1; for the model cards.

The weights are judged (train/weights, fp32), int8.py judges the arithmetic. Needs the built suite:
crispstream data build crisp-v1 ../shared/data. About two minutes on two cores.
"""

import io
import json
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from benchmarks.common import Limit, arguments, publish, result
from crispstream.cli.main import main as crispstream
from crispstream.core.files import sha256_of
from crispstream.train.shipped import WEIGHTS, shipped_weights

YARDSTICKS = ("bicubic", "bicubic-unsharp")
SYNTHETIC_AT_LEAST_DB = {"edge-n": 0.9, "edge-s": 1.3, "edge-m": 1.7}
REAL_AT_LEAST_DB = {"edge-n": 0.8, "edge-s": 1.2, "edge-m": 1.6}
SHARP_AT_LEAST_DB = -0.1
TWINS = {"edge-s-r": "edge-s"}
CLIPS_OVER_TWIN_AT_LEAST_DB = 0.5


def main() -> None:
    """Judge every shipped model."""
    parser = arguments(__doc__)
    parser.add_argument("--suite", type=Path, help="where it is built; default: the cache")
    parser.add_argument(
        "--also", action="append", default=[], metavar="NAME=CHECKPOINT", help="may be repeated"
    )
    chosen = parser.parse_args()
    paths = {name: WEIGHTS / f"{name}.safetensors" for name in shipped_weights()}
    paths |= {name: Path(path) for name, _, path in (also.partition("=") for also in chosen.also)}
    verdict = judged(paths, chosen.suite)
    models = verdict["models"]
    figures = {
        **verdict,
        "weights_sha256": {name: sha256_of(path.read_bytes()) for name, path in paths.items()},
    }
    limits: dict[str, Limit] = {}
    for name in paths:
        limits |= limits_of(name, models)
    publish(result("crisp_v1", settings={}, figures=figures, limits=limits), chosen)


def judged(paths: dict[str, Path], suite: Path | None) -> dict[str, Any]:
    """Return the verdict of `crispstream evaluate --suite`, models by their names."""
    words = ["evaluate", *map(str, paths.values()), *YARDSTICKS, "--suite", "crisp-v1", "--json"]
    words += ["--data", str(suite)] if suite else []
    with redirect_stdout(io.StringIO()) as printed:
        code = crispstream(words)
    if code:
        raise SystemExit(code)
    verdict: dict[str, Any] = json.loads(printed.getvalue())
    names = {str(path): name for name, path in paths.items()}
    verdict["models"] = {names.get(key, key): of for key, of in verdict["models"].items()}
    return verdict


def limits_of(name: str, models: dict[str, Any]) -> dict[str, Limit]:
    """Return the claims that are made of a model."""
    found, summary = {}, models[name]["summary"]
    for title, bounds in (("synthetic", SYNTHETIC_AT_LEAST_DB), ("real", REAL_AT_LEAST_DB)):
        if name in bounds:
            found[f"{name}_{title}_gain_db"] = Limit(summary[title], at_least=bounds[name])
    if name in SYNTHETIC_AT_LEAST_DB or name in TWINS:
        found[f"{name}_sharp_gain_db"] = Limit(summary["sharp"], at_least=SHARP_AT_LEAST_DB)
    if name in TWINS and TWINS[name] in models:
        over = summary["clips"] - models[TWINS[name]]["summary"]["clips"]
        steadier = summary["flicker"] - models["bicubic"]["summary"]["flicker"]
        found[f"{name}_clips_over_{TWINS[name]}_db"] = Limit(
            over, at_least=CLIPS_OVER_TWIN_AT_LEAST_DB
        )
        found[f"{name}_flicker_over_bicubic"] = Limit(steadier, at_most=0.0)
    return found


if __name__ == "__main__":
    main()
