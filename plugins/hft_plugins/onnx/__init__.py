"""Export to ONNX: a bundle that counts only if it behaves like the trained model."""
