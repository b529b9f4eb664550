"""Mean activations and bias shift of each layer while a model trains (Clevert et al. 2015, arXiv 1511.07289, sections 2 and 4.1)."""

import keras
import numpy as np
from keras import ops

from zoo import autodiff


class ActivationStatistics(keras.callbacks.Callback):
    """Logs, after each epoch, what the units of every layer do on a fixed batch.

    A unit is a channel of a layer; its mean is taken over the batch and over positions. The bias shift of a unit is the change of its mean
    by the weight updates since the last epoch. For each layer the logs gain the medians over its units, `<layer>_mean_activation`
    and `<layer>_bias_shift`, and for all units together `mean_activation` (figure 2 of the paper) and `bias_shift`.

    Works with Functional and Sequential models, and with methods of the zoo that have such a `network`.

    Args:
        probe: a batch of inputs, kept fixed.
        layers: names of the layers to watch; by default all activation layers and all layers with an activation, but the last.
    """

    def __init__(self, probe, layers=None):
        super().__init__()
        self.probe, self.layers = probe, layers

    def on_train_begin(self, logs=None):
        """Find the layers, and the means before training.

        Raises:
            ValueError: if the model is not Functional or Sequential, or has no such layers.
        """
        network = getattr(self.model, "network", self.model)
        if not hasattr(network, "inputs") or not hasattr(network, "outputs"):
            raise ValueError(f"`model` must be Functional or Sequential, or have such a `network`. Received: {type(self.model).__name__}")
        self.names = list(self.layers) if self.layers is not None else [layer.name for layer in network.layers[:-1] if _activates(layer)]
        known = [layer.name for layer in network.layers]
        if not self.names or not set(self.names) <= set(known):
            raise ValueError(f"`layers` must be names out of {known}. Received: {self.names}")
        self._network = keras.Model(network.inputs, [network.get_layer(name).output for name in self.names])
        self._run = autodiff.compiled(self._means, self._network)
        self._last = self.means()

    def on_epoch_end(self, epoch, logs=None):
        """Add the statistics to `logs`."""
        means = self.means()
        shifts = {name: np.abs(means[name] - self._last[name]) for name in self.names}
        self._last = means
        for name in self.names:
            logs[f"{name}_mean_activation"] = float(np.median(means[name]))
            logs[f"{name}_bias_shift"] = float(np.median(shifts[name]))
        logs["mean_activation"] = float(np.median(np.concatenate(list(means.values()))))
        logs["bias_shift"] = float(np.median(np.concatenate(list(shifts.values()))))

    def means(self):
        """The mean activation of each unit on the probe: layer name -> array `(units,)`."""
        return dict(zip(self.names, map(ops.convert_to_numpy, self._run(self.probe))))

    def _means(self, x):
        outputs = keras.tree.flatten(self._network(x, training=False))
        return [ops.mean(ops.cast(y, "float32"), axis=tuple(range(len(y.shape) - 1))) for y in outputs]


def _activates(layer):
    kinds = (keras.layers.ReLU, keras.layers.LeakyReLU, keras.layers.PReLU, keras.layers.ELU)
    activation = getattr(layer, "activation", None)
    return isinstance(layer, kinds) or activation not in (None, keras.activations.linear)
