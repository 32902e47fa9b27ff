"""Weights that a system's authors published, as a checkpoint of the kit.

The authors' files are state dicts of networks that are layer for layer those of the kit, under
names of their own. So tensors are matched by order and shape: the order in which the authors' code
and ours define the layers, all tensors, no exception. Theirs read and make RGB, ours BGR: the
channels are turned once, here.
"""

import pickle
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import torch
from torch import Tensor

from crispstream.core.errors import TrainError, UsageError
from crispstream.core.registry import did_you_mean

from .checkpoint import Checkpoint, save_checkpoint
from .models.registry import build_network
from .recipes.registry import build_recipe

ENDINGS = (".pth", ".pt", ".pkl")

ENVELOPES = ("state_dict", "params", "model")
"""Entries that training scripts keep their weights under."""

HOSTILE = frozenset(
    {
        *("os", "posix", "nt", "subprocess", "commands", "builtins", "__builtin__"),
        *("sys", "shutil", "socket", "importlib", "pty", "runpy"),
    }
)
"""Modules that no network is made of: a file that calls them means harm."""

ROLES: Mapping[str, int] = MappingProxyType(
    {"query": 0, "q": 0, "key": 1, "k": 1, "value": 2, "v": 2}
)
"""Words in names of an attention's convolutions, and their order in the kit's networks."""


@dataclass(frozen=True)
class Published:
    """A published system: its network here, and which convolutions touch an image."""

    network: str
    reads: tuple[tuple[str, int], ...]
    """Convolutions that read the image, and at which of their input channels it begins."""
    makes: tuple[str, ...]
    """Convolutions whose output is an image."""
    has_attention: bool = False
    """Whether shapes alone do not tell query, key and value apart."""


PUBLISHED: Mapping[str, Published] = MappingProxyType(
    {
        # The gate reads the deblurring branch's 64 features, the image, then 64 features more.
        "gfn": Published(
            "gfn",
            reads=(("deblur.head.0", 0), ("features.head.0", 0), ("gate.mix.0", 64)),
            makes=("deblur.image.2", "reconstruct.enlarge.image"),
        ),
        "cnlrn": Published(
            "cnlrn",
            reads=(("deblur.at_full.0", 0),),
            makes=("restore.image",),
            has_attention=True,
        ),
    }
)
"""What can be imported; each name is also that of the recipe."""


def import_checkpoint(system: str, path: Path, out: Path, *, overwrite: bool = False) -> Path:
    """Write the authors' weights at `path` as a checkpoint of `system`; return where.

    Raises:
        UsageError: if the system is unknown, `path` does not exist, or `out` does.
        TrainError: if the file holds more than tensors, or not those of the system, or `out`
            cannot be written.
    """
    if system not in PUBLISHED:
        raise UsageError(
            f"there are no published weights of '{system}' to import; "
            f"{did_you_mean(system, PUBLISHED)}known: {', '.join(PUBLISHED)}"
        )
    if out.suffix != ".safetensors":
        raise UsageError(f"a checkpoint's name ends in .safetensors, got '{out}'; rename it in -o")
    if out.exists() and not overwrite:
        raise UsageError(f"'{out}' exists; replace it with --overwrite, or choose another -o")
    weights = converted(PUBLISHED[system], read_state_dict(path))
    recipe = build_recipe(system)
    save_checkpoint(out, Checkpoint(recipe, weights, 0, (f"imported: {path.name}",)))
    return out


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Return the tensors of an authors' file in its order, without code of it being run.

    Raises:
        UsageError: if the file does not exist or is of another kind.
        TrainError: if it holds more than tensors, or none.
    """
    if path.is_dir():
        raise UsageError(f"'{path}' is a folder; name the authors' file of weights in it")
    if not path.is_file():
        raise UsageError(f"the file '{path}' does not exist; download it from its authors")
    if path.suffix == ".safetensors":
        raise UsageError(
            f"'{path}' keeps its tensors in the order of their names, and published weights are "
            "matched by the order of the layers; pass the authors' .pth, .pt or .pkl"
        )
    if path.suffix not in ENDINGS:
        raise UsageError(f"'{path}' is no file of weights; expected one of {', '.join(ENDINGS)}")
    return _unprefixed(_tensors(path, _loaded(path)))


def _loaded(path: Path) -> object:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    # What torch's reader raises for a file of another kind depends on its first bytes.
    except (pickle.UnpicklingError, RuntimeError, EOFError, LookupError, ValueError) as error:
        code = re.search(r"GLOBAL (\S+)", str(error))
        if code is None:
            raise TrainError(
                f"'{path}' is not a file that torch.save wrote, or it is damaged; download it again"
            ) from error
        # Builtins are named without their module there.
        if "." not in code[1] or code[1].split(".")[0] in HOSTILE:
            raise TrainError(
                f"'{path}' would call {code[1]} when opened, which no file of weights needs; "
                "nothing of it was run. Delete it, and get the weights from their authors"
            ) from error
        raise TrainError(
            f"'{path}' holds a Python object ({code[1]}), which would run code when opened; only "
            "tensors are read. On a machine that trusts the file, beside its authors' code: "
            f"python -c \"import torch; m = torch.load('{path.resolve()}', weights_only=False, "
            "map_location='cpu'); torch.save(m.state_dict(), 'weights.pth')\"; then import "
            "weights.pth"
        ) from error


def _tensors(path: Path, content: object) -> dict[str, Tensor]:
    """Unwrap the state dict; refuse anything beside tensors in it."""
    if isinstance(content, Mapping):
        inner = next((content[name] for name in ENVELOPES if name in content), content)
        if isinstance(inner, Mapping) and inner:
            found = {str(k): v for k, v in inner.items() if isinstance(v, Tensor)}
            if len(found) == len(inner):
                return found
    raise TrainError(
        f"'{path}' holds no plain state dict, bare or under {', '.join(ENVELOPES)}; "
        "save one with torch.save(network.state_dict(), 'weights.pth') and import that"
    )


def _unprefixed(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Leave out the prefix that torch's DataParallel puts before every name."""
    if all(name.startswith("module.") for name in tensors):
        return {name.removeprefix("module."): tensor for name, tensor in tensors.items()}
    return tensors


def converted(published: Published, theirs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the authors' tensors under the kit's names, for BGR.

    Raises:
        TrainError: if the numbers of tensors differ, at the first tensor whose shape is not that
            of its partner, or at the first that holds more than finite numbers.
    """
    with torch.device("meta"):  # only names and shapes are asked for
        ours = build_network(published.network).state_dict()
    if len(theirs) != len(ours):
        raise TrainError(
            f"the file has {len(theirs)} tensors and network '{published.network}' has "
            f"{len(ours)}; import the weights of the complete x4 network"
        )
    ordered = _by_role(theirs) if published.has_attention else dict(theirs)
    _check_same(published.network, ordered, ours)
    weights = {
        name: tensor.detach().to(torch.float32).clone()
        for name, tensor in zip(ours, ordered.values(), strict=True)
    }
    _turn_to_bgr(published, weights)
    return weights


def _check_same(network: str, theirs: Mapping[str, Tensor], ours: Mapping[str, Tensor]) -> None:
    for number, ((name, tensor), (own, expected)) in enumerate(
        zip(theirs.items(), ours.items(), strict=True), start=1
    ):
        if tensor.shape != expected.shape or not tensor.is_floating_point():
            raise TrainError(
                f"tensor {number} of the file, '{name}', is {tensor.dtype} {list(tensor.shape)}; "
                f"network '{network}' has '{own}' there, float {list(expected.shape)}; "
                "import the weights of the complete x4 network"
            )
        if not tensor.isfinite().all():
            raise TrainError(
                f"tensor {number} of the file, '{name}', holds NaN or infinity: the file is "
                "damaged, or its training failed; download it again"
            )


def _by_role(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Put query, key and value of each attention in this order; their shapes are the same.

    Raises:
        TrainError: if the names do not say which is which.
    """
    names = list(tensors)
    places: dict[str, list[int]] = defaultdict(list)
    for place, name in enumerate(names):
        if (role := _role(name)) is not None:
            places[re.sub(rf"(?<![^._]){role}(?![^._])", "*", name)].append(place)
    if not places or any(len(group) != 3 for group in places.values()):
        raise TrainError(
            "the names in the file do not say which convolutions make query, key and value, and "
            "their shapes are the same; import a state dict that has the authors' own names"
        )
    for group in places.values():
        among = sorted((names[place] for place in group), key=lambda n: ROLES[_role(n) or ""])
        for place, name in zip(group, among, strict=True):
            names[place] = name
    return {name: tensors[name] for name in names}


def _role(name: str) -> str | None:
    """Return the word of `ROLES` in a name.

    >>> _role("body.0.query_embedding.weight"), _role("body.0.conv.weight")
    ('query', None)
    """
    return next((word for word in re.split(r"[._]", name) if word in ROLES), None)


def _turn_to_bgr(published: Published, weights: dict[str, Tensor]) -> None:
    """Exchange red and blue wherever an image goes in or comes out."""
    for name, first in published.reads:
        weight = weights[f"{name}.weight"]
        weight[:, first : first + 3] = weight[:, first : first + 3].flip(1)
    for name in published.makes:
        for part in ("weight", "bias"):
            weights[f"{name}.{part}"] = weights[f"{name}.{part}"].flip(0)
