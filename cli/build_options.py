"""The options of `crispstream build`, as typer reads them; trtexec's spellings are hidden."""

from collections.abc import Callable
from typing import Annotated, TypeVar

import typer

from crispstream.core.errors import UsageError

T = TypeVar("T")


def _refuse(sentence: str) -> Callable[[object], None]:
    """Return a callback for an option that only explains itself, even if BUNDLE is missing."""

    def refuse(value: object) -> None:
        if value:
            raise UsageError(sentence)

    return refuse


def _refuse_precision(flag: str, wanted: str) -> Callable[[object], None]:
    return _refuse(f"there is no {flag}: precision lives in the graph: use --precision {wanted}")


BundleName = Annotated[str, typer.Argument(help="Shipped name (edge-n) or path of a bundle.")]
Output = Annotated[
    str | None,  # not a Path, which would forget the / at the end of a folder's name
    typer.Option(
        "--output",
        "-o",
        metavar="PATH",
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
        help="Kind of GPU to build for (tensorrt-rtx only), 8.9 for instance; by default Ampere "
        "(8.0) and newer. RTX 20 and GTX 16 need 7.5. Give it again for more.",
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
SaveEngine = Annotated[str | None, typer.Option("--saveEngine", hidden=True)]
BuilderOptimizationLevel = Annotated[
    int | None,
    typer.Option("--builderOptimizationLevel", "--optimization-level", hidden=True),
]
VersionCompatibleToo = Annotated[bool, typer.Option("--versionCompatible", hidden=True)]
HardwareCompatibilityLevel = Annotated[
    str | None, typer.Option("--hardwareCompatibilityLevel", hidden=True)
]
# What trtexec has and this has not: each is answered with what to give instead. The flags are of
# trtexec before TensorRT 11, where weakly typed networks are gone.
_SHAPES = _refuse("shapes are frame sizes here: use --size WIDTHxHEIGHT or SMALLEST:BEST:LARGEST")
_POOL = _refuse("there is no --memPoolSize: use --workspace MIB (tensorrt only)")
_ONNX = _refuse(
    "there is no --onnx: engines are built from bundles; give a shipped name or a bundle's path, "
    "which crispstream export makes"
)
Fp32 = Annotated[
    bool, typer.Option("--fp32", hidden=True, callback=_refuse_precision("--fp32", "fp32"))
]
Fp16 = Annotated[
    bool, typer.Option("--fp16", hidden=True, callback=_refuse_precision("--fp16", "fp16"))
]
Bf16 = Annotated[
    bool, typer.Option("--bf16", hidden=True, callback=_refuse_precision("--bf16", "auto"))
]
Int8 = Annotated[
    bool, typer.Option("--int8", hidden=True, callback=_refuse_precision("--int8", "int8"))
]
Best = Annotated[
    bool, typer.Option("--best", hidden=True, callback=_refuse_precision("--best", "auto"))
]
MinShapes = Annotated[str | None, typer.Option("--minShapes", hidden=True, callback=_SHAPES)]
OptShapes = Annotated[str | None, typer.Option("--optShapes", hidden=True, callback=_SHAPES)]
MaxShapes = Annotated[str | None, typer.Option("--maxShapes", hidden=True, callback=_SHAPES)]
MemPoolSize = Annotated[str | None, typer.Option("--memPoolSize", hidden=True, callback=_POOL)]
Onnx = Annotated[str | None, typer.Option("--onnx", hidden=True, callback=_ONNX)]

_TRTEXEC_LEVELS = {"samecomputecapability": "same-compute-capability"}


def check_backend(name: str, *, triton: bool) -> None:
    """Raise UsageError for what cannot build, naming what can."""
    from crispstream.runtime.engine.native import meant

    known = ("auto", "tensorrt", "tensorrt-rtx", *(["onnxruntime"] if triton else []))
    if name in known:
        return
    raise UsageError(
        f"no engine can be built for '{name}'; {meant(name, known)}choose one of {', '.join(known)}"
    )


def one_of(name: str, value: T | None, other_name: str, other: T | None) -> T | None:
    """Return the one that was given of two options that mean the same; None if neither was.

    Raises:
        UsageError: if both were.
    """
    if value is not None and other is not None:
        raise UsageError(f"{name} and {other_name} mean the same; give one of them")
    return other if value is None else value


def hardware_level(text: str | None) -> str:
    """Return a level as the build options spell it.

    >>> hardware_level("sameComputeCapability"), hardware_level(None)
    ('same-compute-capability', 'none')
    """
    level = (text or "none").lower()
    return _TRTEXEC_LEVELS.get(level, level)
