"""ONNX bytes to engine bytes, on TensorRT or TensorRT-RTX. For obtain, trust's tests and cli."""
