"""The learning rate that is halved after updates."""

import keras
import numpy as np
import pytest

from zoo.callbacks import Halving


class Watch(keras.callbacks.Callback):
    """Remembers the learning rate before each batch."""

    def __init__(self):
        super().__init__()
        self.rates = []

    def on_train_batch_begin(self, batch, logs=None):
        self.rates.append(float(self.model.optimizer.learning_rate))


def rates(callback, batches, epochs, fits=1):
    """Learning rate before each batch."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.8), "mse")
    watch = Watch()
    for _ in range(fits):
        model.fit(np.zeros((batches, 1)), np.zeros((batches, 1)), batch_size=1, epochs=epochs, callbacks=[callback, watch], verbose=0)
    return watch.rates


@pytest.mark.parametrize("batches, epochs, fits", [(12, 1, 1), (1, 12, 1), (3, 2, 2), (4, 3, 1)])
def test_updates_count_and_not_epochs(batches, epochs, fits):
    expected = [0.8 / 2 ** min(update // 3, 2) for update in range(12)]
    np.testing.assert_allclose(rates(Halving(3, times=2), batches, epochs, fits), expected, rtol=1e-6)


def test_several_updates_in_one_call():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.8), "mse", steps_per_execution=5)
    model.fit(np.zeros((10, 1)), np.zeros((10, 1)), batch_size=1, callbacks=[Halving(2, times=10)], verbose=0)
    assert float(model.optimizer.learning_rate) == pytest.approx(0.8 / 2**5)


def test_refusals():
    with pytest.raises(ValueError, match="`every`"):
        Halving(0)
