"""Whether what a sidecar holds is an engine's record: every field, of the kind that is read."""

from collections.abc import Mapping
from typing import Any

from crispstream.core.errors import UsageError
from crispstream.core.sizes import SizeRange
from crispstream.runtime.engine.native import FLAVOURS

Kinds = Mapping[str, type | tuple[type, ...]]

_KINDS: Kinds = {
    **dict.fromkeys(("bundle", "graph_sha256", "precision", "flavour", "flavour_version"), str),
    **dict.fromkeys(("engine_sha256", "built_at", "crispstream_version"), str),
    **dict.fromkeys(("options", "asked_options", "gpu", "convolutions", "recheck"), dict),
    "measured": dict,
    **dict.fromkeys(("engine_bytes", "builder_recipe", "schema"), int),
    "build_seconds": (int, float),
    "retries": list,
}
_ORDERS: Kinds = {
    "profiles": list,
    "compute_capabilities": list,
    "workspace_mib": (int, type(None)),
    "optimisation_level": (int, type(None)),
    "version_compatible": bool,
    "hardware_compatible": str,
}
_VERDICT: Kinds = {
    "passed": bool,
    "gpu": dict,
    "psnr_to_fp32_db": (int, float, type(None)),
    "largest_levels": int,
}
_SPEED: Kinds = {
    "bench": str,
    "gpu": dict,
    "size": str,
    "engine_ms": (int, float),
    "over_fp16": (list, type(None)),
}


def is_record(content: Any) -> bool:  # noqa: ANN401 (whatever the file holds)
    """Return whether JSON content is that of an `EngineRecord`, of this schema."""
    if not isinstance(content, dict) or set(content) != set(_KINDS):
        return False
    return (
        _has_kinds(content, _KINDS)
        and content["flavour"] in FLAVOURS
        and all(isinstance(value, str) for value in content["gpu"].values())
        and _are_orders(content["options"])
        and (content["asked_options"] == {} or _are_orders(content["asked_options"]))
        and (content["recheck"] == {} or _is_verdict(content["recheck"]))
        and (content["measured"] == {} or _is_speed(content["measured"]))
    )


def _are_orders(content: Any) -> bool:  # noqa: ANN401
    """Return whether these are builder's orders, as `BuildOptions.as_json` gives them."""
    if set(content) != set(_ORDERS) or not _has_kinds(content, _ORDERS):
        return False
    if not all(isinstance(each, str) for each in content["compute_capabilities"]):
        return False
    try:
        return [SizeRange.parse(each) for each in content["profiles"]] != []
    except (AttributeError, UsageError):
        return False


def _is_verdict(content: Any) -> bool:  # noqa: ANN401
    """Return whether this has what is read of a re-check."""
    return set(content) >= set(_VERDICT) and _has_kinds(content, _VERDICT)


def _is_speed(content: Any) -> bool:  # noqa: ANN401
    """Return whether this is what `measured.Speed` is kept as."""
    if set(content) != set(_SPEED) or not _has_kinds(content, _SPEED):
        return False
    interval = content["over_fp16"] or [1.0, 1.0]
    return len(interval) == 2 and all(isinstance(end, int | float) for end in interval)


def _has_kinds(content: Any, kinds: Kinds) -> bool:  # noqa: ANN401
    return all(isinstance(content[name], kind) for name, kind in kinds.items())
