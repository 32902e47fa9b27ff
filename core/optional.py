"""Optional dependencies: one helper, one message."""

import importlib
from types import ModuleType

from .errors import MissingExtraError


def require(module: str, extra: str) -> ModuleType:
    """Import `module`, or say which extra of the kit brings it.

    >>> require("math", "train").sqrt(4.0)
    2.0

    Raises:
        MissingExtraError: if the module (or one it needs) is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"this needs the Python package '{error.name}', which is not installed; "
            f'install it with: pip install "crispstream[{extra}]"'
        ) from error
