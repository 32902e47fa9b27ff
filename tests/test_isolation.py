"""What a device needs: the runtime and the command line start without the training stack."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TRAINING_STACK = ("torch", "torchvision", "lightning", "onnx", "onnxscript", "onnxsim")
TRAINING_STAGES = ("crispstream.train", "crispstream.export")
# Only the leaf files that drive hardware may need these to be imported.
HARDWARE = ("tensorrt", "tensorrt_rtx", "pycuda", "cuda", "polygraphy")
PROGRAM = """
import importlib, json, sys
modules, hardware = json.loads(sys.argv[1])
for name in modules:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in hardware:
            raise
print(json.dumps(sorted(sys.modules)))
"""


def modules_of(stage: str) -> list[str]:
    return [
        ".".join(("crispstream", *path.relative_to(ROOT).with_suffix("").parts))
        for path in sorted((ROOT / stage).rglob("*.py"))
        if path.name != "__init__.py"
    ]


def loaded_after_importing(modules: list[str]) -> set[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT / "build/links")}
    command = [sys.executable, "-c", PROGRAM, json.dumps([modules, HARDWARE])]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout))


def unwanted(loaded: set[str], names: tuple[str, ...]) -> set[str]:
    return {m for m in loaded if any(m == name or m.startswith(f"{name}.") for name in names)}


@pytest.mark.parametrize("stage", ["runtime", "core"])
def test_the_device_side_loads_no_training_stack(stage: str) -> None:
    modules = modules_of(stage)
    loaded = loaded_after_importing(modules)
    assert f"crispstream.{stage}.{'restorer' if stage == 'runtime' else 'bundle'}" in loaded
    assert not unwanted(loaded, TRAINING_STACK + TRAINING_STAGES)


def test_the_command_line_loads_no_stage_before_a_command_runs() -> None:
    loaded = loaded_after_importing(modules_of("cli"))
    stages = ("crispstream.runtime", "crispstream.calib", *TRAINING_STAGES)
    assert not unwanted(loaded, (*TRAINING_STACK, *stages, "onnxruntime", "av", "cv2", "numpy"))


def test_the_check_sees_what_it_forbids() -> None:
    loaded = loaded_after_importing(["crispstream.train.models.registry"])
    assert unwanted(loaded, TRAINING_STAGES)
