"""Weighted cross-entropy with ignored pixels, and median frequency balancing."""

import os

import keras
import numpy as np
import pytest
from keras import ops

from zoo.losses import ClassWeightedCrossentropy, median_frequency_weights
from zoo.metrics import PixelAccuracy

RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 4, (3, 5, 6))
PROBABILITIES = RNG.dirichlet(np.ones(3), LABELS.shape).astype("float32")


def test_loss_equals_numpy():
    weights = np.array([0.5, 2.0, 3.0])
    kept = LABELS != 3
    chosen = np.take_along_axis(PROBABILITIES, np.where(kept, LABELS, 0)[..., None], -1)[..., 0]
    pixels = -np.log(chosen) * weights[np.where(kept, LABELS, 0)] * kept
    loss = ClassWeightedCrossentropy(weights, ignore_class=3)
    np.testing.assert_allclose(loss(LABELS, PROBABILITIES), pixels.sum() / kept.sum(), rtol=1e-5)
    maps = RNG.uniform(0, 2, LABELS.shape)
    np.testing.assert_allclose(loss(LABELS, PROBABILITIES, sample_weight=maps), (pixels * maps).sum() / kept.sum(), rtol=1e-5)
    single = ClassWeightedCrossentropy(weights, 3, reduction="none")(LABELS, PROBABILITIES)
    np.testing.assert_allclose(ops.convert_to_numpy(single), pixels, rtol=1e-5)
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    np.testing.assert_allclose(again(LABELS, PROBABILITIES), loss(LABELS, PROBABILITIES))


def test_without_weights_it_is_keras_own():
    for ignored in (3, 0):
        labels = LABELS if ignored == 3 else LABELS % 3
        peer = keras.losses.SparseCategoricalCrossentropy(ignore_class=ignored)(labels, PROBABILITIES)
        np.testing.assert_allclose(ClassWeightedCrossentropy(ignore_class=ignored)(labels, PROBABILITIES), peer, rtol=1e-5)
    peer = keras.losses.SparseCategoricalCrossentropy()(LABELS % 3, PROBABILITIES)
    np.testing.assert_allclose(ClassWeightedCrossentropy()(LABELS % 3, PROBABILITIES), peer, rtol=1e-5)
    assert float(ClassWeightedCrossentropy(ignore_class=7)(np.full((1, 2, 2), 7), PROBABILITIES[:1, :2, :2])) == 0
    with pytest.raises(ValueError, match="class_weights"):
        ClassWeightedCrossentropy([1.0])(LABELS, PROBABILITIES)


def test_accuracy_without_ignored_pixels():
    kept = LABELS != 3
    right = PROBABILITIES.argmax(-1) == LABELS
    image_weights = np.array([1.0, 0.0, 2.0])
    maps = np.broadcast_to(image_weights[:, None, None], kept.shape)
    for weights, full in ((None, np.ones(kept.shape)), (image_weights, maps), (maps, maps)):
        metric = PixelAccuracy(ignore_class=3)
        metric = PixelAccuracy.from_config(metric.get_config())
        metric.update_state(LABELS, PROBABILITIES, weights)
        np.testing.assert_allclose(metric.result(), (right * kept * full).sum() / (kept * full).sum(), rtol=1e-5)
    peer, plain = keras.metrics.SparseCategoricalAccuracy(), PixelAccuracy()
    for metric in (peer, plain):
        metric.update_state(LABELS % 3, PROBABILITIES)
    assert float(peer.result()) == float(plain.result())


def test_median_frequency_by_hand():
    """Class 0: 6 of 8 counted pixels; class 1: 1 of the 4 pixels of the second image; class 2: 1 of the 4 of the first; 3 never."""
    labels = np.array([[[0, 0, 9], [0, 2, 9]], [[0, 0, 9], [0, 1, 9]]])
    frequency = np.array([6 / 8, 1 / 4, 1 / 4])
    found = median_frequency_weights(labels, 4, ignore_class=9)
    np.testing.assert_allclose(found, [*(0.25 / frequency), 0])
    for bad, ignored in ((labels, None), (labels.astype(float), 9), (np.full((1, 2, 2), 9), 9), (np.full((1, 2, 2), -1), 9)):
        with pytest.raises(ValueError, match="`labels`"):
            median_frequency_weights(bad, 4, ignored)


@pytest.mark.skipif("ZOO_DATA" not in os.environ, reason="needs CamVid in ZOO_DATA")
def test_weights_of_camvid_are_nearly_the_authors():
    """Those in the authors' training files, where void counts as a class; their sign symbols are not those of the published labels."""
    from zoo import datasets

    published = np.array([0.2595, 0.1826, 4.5640, 0.1417, 0.9051, 0.3826, 9.6446, 1.8418, 0.6823, 6.2478, 7.3614])
    (_, labels), _, _ = datasets.camvid()
    ratio = median_frequency_weights(labels, 12)[:11] / published
    np.testing.assert_allclose(np.delete(ratio, datasets.CAMVID_CLASSES.index("sign symbol")), 1, atol=0.12)
