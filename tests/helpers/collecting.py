"""A collection asked for in one line, and what it wrote."""

import json

from crispstream.calib.collect.collect import Request


def request(*sources, frames=8, **wanted):
    return Request(tuple(map(str, sources)), frames, **wanted)


def manifest(folder):
    return json.loads((folder / "manifest.json").read_text())
