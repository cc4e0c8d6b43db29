"""Trained models as files for other programs: ONNX and exported programs of torch."""
