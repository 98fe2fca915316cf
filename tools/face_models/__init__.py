"""Makes a face pack's folder (ONNX and Core ML) from one set of weights; see ``__main__``."""
