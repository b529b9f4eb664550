"""The conditioned GRU against a loop over the paper's equations, and against Keras's GRU."""

import keras
import numpy as np
import pytest
from keras import ops

from zoo.layers import ConditionalGRU

RNG = np.random.default_rng(0)
X, C, H0 = (RNG.normal(size=s).astype("float32") for s in ((3, 6, 4), (3, 7), (3, 5)))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def recurrent_kernel(layer):
    """Of reset gate, update gate and candidate, side by side."""
    return np.concatenate([ops.convert_to_numpy(kernel) for kernel in (layer.cell.gates_kernel, layer.cell.candidate_kernel)], axis=1)


def equations(layer, x, c, h, present):
    """Equations 5 to 8, a word and a matrix at a time, in float64."""
    w_r, w_z, w = np.split(ops.convert_to_numpy(layer.kernel).astype("float64"), 3, axis=1)
    u_r, u_z, u = np.split(recurrent_kernel(layer).astype("float64"), 3, axis=1)
    c_r, c_z, c_ = np.split(ops.convert_to_numpy(layer.context_kernel).astype("float64"), 3, axis=1)
    b_r, b_z, b = np.split(ops.convert_to_numpy(layer.bias).astype("float64"), 3)
    states = []
    for t in range(x.shape[1])[:: -1 if layer.go_backwards else 1]:
        r = sigmoid(x[:, t] @ w_r + h @ u_r + c @ c_r + b_r)
        z = sigmoid(x[:, t] @ w_z + h @ u_z + c @ c_z + b_z)
        candidate = np.tanh(x[:, t] @ w + (r * h) @ u + c @ c_ + b)
        h = np.where(present[:, t, None], (1 - z) * h + z * candidate, h)
        states.append(h)
    return np.stack(states, axis=1)


@pytest.mark.parametrize("go_backwards", [False, True])
def test_the_papers_equations(go_backwards):
    layer = ConditionalGRU(5, 4, 7, go_backwards=go_backwards)
    layer.bias.assign(RNG.normal(size=15))
    present = np.arange(6) < np.array([6, 3, 0])[:, None]
    found = layer(X, context=C, present=present, initial_state=H0)
    np.testing.assert_allclose(found, equations(layer, X, C, H0, present), atol=1e-5)
    # step after step is the same
    h = ops.convert_to_tensor(H0[:1])
    for t in range(6)[:: -1 if go_backwards else 1]:
        h = layer.step(X[:1, t], h, C[:1])
    np.testing.assert_allclose(h, found[:1, -1], atol=1e-5)


def test_keras_gru_of_inputs_with_the_context_beside_them():
    layer, peer = ConditionalGRU(5, 4, 7), keras.layers.GRU(5, reset_after=False, return_sequences=True)
    inputs = np.concatenate([X, np.repeat(C[:, None], 6, axis=1)], axis=2)
    peer.build(inputs.shape)

    def gates(weight):
        """Keras has the update gate first, and means its opposite."""
        r, z, candidate = np.split(ops.convert_to_numpy(weight), 3, axis=-1)
        return np.concatenate([-z, r, candidate], axis=-1)

    kernel = np.concatenate([gates(layer.kernel), gates(layer.context_kernel)])
    peer.set_weights([kernel, gates(recurrent_kernel(layer)), gates(layer.bias)])
    np.testing.assert_allclose(layer(X, context=C), peer(inputs), atol=1e-5)


def test_initial_weights_are_the_papers():
    layer = ConditionalGRU(8, 4, 7)
    for block in np.split(recurrent_kernel(layer), 3, axis=1):
        np.testing.assert_allclose(block @ block.T, np.eye(8), atol=1e-5)
    for kernel in (layer.kernel, layer.context_kernel):
        values = ops.convert_to_numpy(kernel)
        assert 0.08 < np.abs(values).max() <= 0.1 and abs(values.mean()) < 0.02


def test_config_and_refusals():
    layer = ConditionalGRU.from_config(ConditionalGRU(5, 4, go_backwards=True, kernel_initializer="glorot_uniform").get_config())
    assert (layer.units, layer.input_dim, layer.context_dim, layer.go_backwards) == (5, 4, None, True)
    assert layer(X).shape == layer.compute_output_shape(X.shape) == (3, 6, 5)
    with pytest.raises(ValueError, match="`units`"):
        ConditionalGRU(0, 4)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="looks into TensorFlow's graph")
def test_a_step_cuts_nothing_out_of_a_weight():
    # such a copy is kept for every step until the gradient is there: 2.6 GB instead of 0.2 for 2400 units and 30 steps
    import tensorflow as tf

    layer = ConditionalGRU(5, 4, 7)
    graph = tf.function(lambda x, c: layer(x, context=c)).get_concrete_function(X, C).graph.as_graph_def()
    bodies = [function for function in graph.library.function if "while_body" in function.signature.name]
    assert len(bodies) == 1
    products = {node.name: node.input[1] for node in bodies[0].node_def if node.op == "MatMul"}
    operations = {node.name: node.op for node in bodies[0].node_def}
    assert len(products) == 2
    for source in products.values():
        assert operations.get(source.split(":")[0]) == "ReadVariableOp", (source, operations)
