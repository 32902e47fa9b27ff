"""A checkpoint to a bundle of ONNX graphs, proved equal to the network; only cli imports it."""
