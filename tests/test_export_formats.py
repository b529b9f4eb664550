"""Export to Keras's own formats, and what is said where a package that they need is missing."""

import importlib.util

import keras
import numpy as np
import pytest


@pytest.mark.parametrize("format, command", [("onnx", r"'zoo-keras\[onnx\]'|jax2onnx"), ("openvino", "openvino")])
def test_export_names_the_package_that_is_missing(toy, tmp_path, monkeypatch, format, command):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=rf"export\(format='{format}'\) needs .*pip install .*({command})"):
        toy().export(tmp_path / "model", format=format)


def test_onnx(toy, tmp_path):
    """The exported graph gives the model's outputs, as ONNX's own reference runs it."""
    if keras.backend.backend() != "tensorflow":
        pytest.skip("on JAX the converter is jax2onnx")
    pytest.importorskip("tf2onnx")
    from onnx.reference import ReferenceEvaluator

    model = toy()
    model.export(str(tmp_path / "model.onnx"), format="onnx", verbose=False)
    session = ReferenceEvaluator(str(tmp_path / "model.onnx"))
    x = model.example_inputs(3)
    np.testing.assert_allclose(session.run(None, {session.input_names[0]: x})[0], model(x), atol=1e-6)
