"""One sink for restored frames a file; reached through `runtime.stream.sink`."""
