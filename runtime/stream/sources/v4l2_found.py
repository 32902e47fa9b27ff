"""Which cameras the kernel knows, and why one of them does not open, in words."""

import errno
import grp
from pathlib import Path

_CLASS = Path("/sys/class/video4linux")
_ABSENT = (errno.ENOENT, errno.ENXIO, errno.ENODEV)
_FORBIDDEN = (errno.EACCES, errno.EPERM)


def cameras(folder: Path = _CLASS) -> dict[str, str]:
    """Return what the kernel knows as cameras: device -> what it calls itself.

    One camera may have several devices, of which some give no pictures.
    """
    found = {}
    for entry in sorted(folder.glob("video*"), key=lambda path: (len(path.name), path.name)):
        try:
            name = (entry / "name").read_text(encoding="utf-8", errors="replace").strip()
        except OSError:  # unplugged this moment
            continue
        found[f"/dev/{entry.name}"] = name
    return found


def others(device: str) -> str:
    """Return a sentence that names the other devices, or how to get one."""
    there = [f"{path} ({name})" for path, name in cameras().items() if path != device]
    if there:
        return f"there is {', '.join(there)}"
    return "no other is known; plug one in, or pass it into the container with --device"


def explained(device: str, error: OSError) -> str:
    """Return what a refused call means for a camera, and what to do."""
    if error.errno in _ABSENT:
        return f"there is no camera '{device}'; {others(device)}"
    if error.errno == errno.EBUSY:
        return (
            f"the camera '{device}' is in use by another program; close that one, which "
            f"`fuser -v {device}` names"
        )
    if error.errno in _FORBIDDEN:
        return (
            f"the camera '{device}' may not be opened; join its group with `sudo usermod -aG "
            f"{_group(device)} $USER` and log in again"
        )
    if error.errno == errno.ENOTTY:
        return f"'{device}' is no camera; {others(device)}"
    if error.errno == errno.ENOSPC:
        return (
            f"the USB port has no room left for the camera '{device}'; ask for a smaller size or "
            "a lower rate, or plug it into another controller"
        )
    return f"the camera '{device}' broke off ({error.strerror}); check its cable"


def _group(device: str) -> str:
    """Return the group that may open a device; on all usual systems it is "video"."""
    try:
        return grp.getgrgid(Path(device).stat().st_gid).gr_name
    except (OSError, KeyError):
        return "video"
