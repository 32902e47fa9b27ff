"""The GPU: what it is, its memory, streams and events. The only importer of pycuda and cuda."""
