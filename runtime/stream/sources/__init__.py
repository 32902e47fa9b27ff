"""One source of frames a file; reached through `runtime.stream.source`."""
