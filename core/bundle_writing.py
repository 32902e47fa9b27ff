"""Writing a bundle: whole or not at all, every file with its hash."""

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

from .bundle import CONTRACT, SCHEMA, Bundle
from .bundle_paths import inward
from .errors import BundleError
from .files import refuse_to_replace, sha256_of, write_folder_atomically


def write_bundle(
    directory: Path, bundle: Bundle, payload: Mapping[str, bytes], *, overwrite: bool = False
) -> Bundle:
    """Write a bundle folder, whole or not at all.

    `payload` maps paths inside the bundle to their bytes; hashes of `bundle` are taken from it.
    With `overwrite` a bundle that is there is replaced once the new one is complete.

    Raises:
        UsageError: if `directory` exists and is not a bundle or may not be overwritten.
        BundleError: if a graph has no bytes, a path leaves the folder, or the disk refuses.
    """
    check_free(directory, overwrite=overwrite)
    sealed = _seal(bundle, payload)
    for name in payload:
        inward(directory, name)
    try:
        write_folder_atomically(directory, {**payload, CONTRACT: _contract(sealed)})
    except OSError as error:
        raise BundleError(
            f"cannot write the bundle '{directory}' ({error.strerror}); nothing was changed: "
            "free some space or name another folder"
        ) from error
    return replace(sealed, path=directory)


def check_free(directory: Path, *, overwrite: bool) -> None:
    """Raise UsageError unless a bundle may be written to `directory`."""
    refuse_to_replace(directory, marker=CONTRACT, noun="bundle", overwrite=overwrite)


def _seal(bundle: Bundle, payload: Mapping[str, bytes]) -> Bundle:
    missing = [graph.file for graph in bundle.graphs if graph.file not in payload]
    if missing:
        raise BundleError(f"no bytes were given for {', '.join(missing)} of '{bundle.name}'")
    graphs = tuple(replace(graph, sha256=sha256_of(payload[graph.file])) for graph in bundle.graphs)
    names = {graph.file for graph in graphs}
    others = {name: sha256_of(data) for name, data in payload.items() if name not in names}
    return replace(bundle, graphs=graphs, files=others)


def _contract(bundle: Bundle) -> bytes:
    content = asdict(bundle)
    del content["path"]
    if bundle.frame_size is None:  # kits that know no such fact read what they can run
        del content["frame_size"]
    return (json.dumps({"schema": SCHEMA, **content}, indent=2) + "\n").encode()
