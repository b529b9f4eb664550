"""Bags of words as sums of rows, against counts; ids that are looked up once; values of a batch out of a train step."""

import keras
import numpy as np
from keras import ops

from zoo.layers import BagOfWords
from zoo.metrics import LastBatch
from zoo.text import CachedIds


def test_bag_of_words_is_a_dense_layer_on_counts():
    ids = np.random.default_rng(0).integers(0, 9, (3, 4, 11))
    layer = BagOfWords(7, 5, activation="tanh")
    counts = (ids[..., None] == np.arange(2, 9)).sum(-2)
    kernel, bias = np.random.default_rng(1).normal(size=(7, 5)), np.arange(5.0)
    layer.set_weights([kernel, bias])
    np.testing.assert_allclose(ops.convert_to_numpy(layer(ids)), np.tanh(counts @ kernel + bias), atol=1e-5)
    again = BagOfWords.from_config(layer.get_config())
    again.set_weights(layer.get_weights())
    np.testing.assert_array_equal(ops.convert_to_numpy(again(ids)), ops.convert_to_numpy(layer(ids)))
    assert len(BagOfWords(7, 5, use_bias=False).weights) == 1 and layer.compute_output_shape((None, 4, 11)) == (None, 4, 5)


def test_texts_are_looked_up_once():
    asked = []

    def vectorization(texts):
        asked.append(list(texts))
        return np.array([[len(text), 1] for text in texts])

    ids = CachedIds(vectorization, limit=3)
    np.testing.assert_array_equal(ids(["a", "bb", "a"]), [[1, 1], [2, 1], [1, 1]])
    np.testing.assert_array_equal(ids(["bb", "ccc"]), [[2, 1], [3, 1]])
    assert asked == [["a", "bb"], ["ccc"]]
    # one more than can be remembered: all are forgotten, none is missing
    np.testing.assert_array_equal(ids(["bb", "dddd"]), [[2, 1], [4, 1]])
    np.testing.assert_array_equal(ids(["a"]), [[1, 1]])
    assert asked[2:] == [["bb", "dddd"], ["a"]]


def test_last_batch():
    metric = LastBatch(3, name="errors")
    for values in ([1.0, 2.0, 3.0], [4.0, 5.0, 6.0]):
        metric.update_state(ops.convert_to_tensor(values))
        metric.reset_state()
    np.testing.assert_array_equal(ops.convert_to_numpy(metric.result()), [4.0, 5.0, 6.0])
    assert isinstance(metric, keras.metrics.Metric)
