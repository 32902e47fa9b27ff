"""The options of `crispstream build`, as typer reads them; trtexec's spellings are hidden."""

from pathlib import Path
from typing import Annotated

import typer

from crispstream.core.errors import UsageError

BundleName = Annotated[str, typer.Argument(help="Shipped name (edge-n) or path of a bundle.")]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        help="Also write the engine to this file, for another device; with --format triton, the "
        "model repository to write.",
    ),
]
Sizes = Annotated[
    list[str] | None,
    typer.Option(
        "--size",
        metavar="SIZE",
        help="Frame size it will take, WIDTHxHEIGHT in pixels, or SMALLEST:BEST:LARGEST; by "
        "default 320x180. Give it again for each further profile.",
    ),
]
Backend = Annotated[
    str,
    typer.Option(
        help="tensorrt (builds for the GPU that is here), tensorrt-rtx (builds without a GPU), or "
        "auto: the first of them that can. With --format triton also onnxruntime."
    ),
]
Precision = Annotated[
    str, typer.Option(help="fp32, fp16 or int8; auto: fp16 if it is certified, else fp32.")
]
ComputeCapabilities = Annotated[
    list[str] | None,
    typer.Option(
        "--compute-capability",
        metavar="MAJOR.MINOR",
        help="Kind of GPU to build for (tensorrt-rtx only). Give it again for more.",
    ),
]
Workspace = Annotated[
    int | None,
    typer.Option(metavar="MIB", help="Most scratch memory that kernels may use (tensorrt only)."),
]
OptimisationLevel = Annotated[
    int | None,
    typer.Option(metavar="LEVEL", help="0, the fastest build, to 5, the fastest engine."),
]
VersionCompatible = Annotated[
    bool,
    typer.Option(
        "--version-compatible",
        help="Let newer versions of the same major version run it (tensorrt only).",
    ),
]
HardwareCompatible = Annotated[
    str | None,
    typer.Option(
        metavar="LEVEL",
        help="Let other GPUs run it: none, ampere+ or same-compute-capability (tensorrt only).",
    ),
]
Format = Annotated[
    str,
    typer.Option("--format", help="engine, or triton: a model for Triton Inference Server."),
]
AllowUncertified = Annotated[
    bool,
    typer.Option("--allow-uncertified", help="Build a named fp16 or int8 as it is, unverified."),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")]
Rebuild = Annotated[
    bool, typer.Option("--rebuild", help="Build it even if such an engine is kept already.")
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]

# trtexec's own words for the same. Hidden: they would double the width of the help page.
SaveEngine = Annotated[Path | None, typer.Option("--saveEngine", hidden=True)]
BuilderOptimizationLevel = Annotated[
    int | None, typer.Option("--builderOptimizationLevel", hidden=True)
]
VersionCompatibleToo = Annotated[bool, typer.Option("--versionCompatible", hidden=True)]
HardwareCompatibilityLevel = Annotated[
    str | None, typer.Option("--hardwareCompatibilityLevel", hidden=True)
]
# Of trtexec before TensorRT 11, where weakly typed networks are gone.
Fp16 = Annotated[bool, typer.Option("--fp16", hidden=True)]
Bf16 = Annotated[bool, typer.Option("--bf16", hidden=True)]
Int8 = Annotated[bool, typer.Option("--int8", hidden=True)]
Best = Annotated[bool, typer.Option("--best", hidden=True)]

_TRTEXEC_LEVELS = {"samecomputecapability": "same-compute-capability"}


def refuse_precision_flags(**asked: bool) -> None:
    """Raise UsageError for flags of trtexec that once chose the precision."""
    for name, given in asked.items():
        if given:
            wanted = name if name in ("fp16", "int8") else "auto"
            raise UsageError(
                f"there is no --{name}: precision lives in the graph: use --precision {wanted}"
            )


def hardware_level(text: str | None) -> str:
    """Return a level as the build options spell it.

    >>> hardware_level("sameComputeCapability"), hardware_level(None)
    ('same-compute-capability', 'none')
    """
    level = (text or "none").lower()
    return _TRTEXEC_LEVELS.get(level, level)
