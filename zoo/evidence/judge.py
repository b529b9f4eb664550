"""A small LeNet that has learned MNIST: the eyes through which samples of generative models are judged.

Its features take the place of Inception's in `zoo.metrics.frechet_distance`, its probabilities in `zoo.metrics.classifier_score`. All rows
that are judged by the same seed are judged by the same eyes.
"""

import os
from typing import Any

import numpy as np

from zoo import files

EPOCHS, BATCH_SIZE, TRAINING = 3, 100, 50000


class Judge:
    """A LeNet for digits of 28 x 28 pixels; `mnist_judge` makes a trained one.

    Args:
        seed: of its weights and of the order of its training data.

    Attributes:
        accuracy: on the last 10,000 training images of MNIST, which it has not learned from; `None` before training.
    """

    def __init__(self, seed: int = 0) -> None:
        import keras
        from keras import layers

        seeds = iter(range(1000 * seed, 1000 * seed + 5))
        x = image = keras.Input((28, 28, 1), name="image")
        for filters in (6, 16):
            initial = keras.initializers.GlorotUniform(next(seeds))
            x = layers.Conv2D(filters, 5, padding="same" if filters == 6 else "valid", activation="relu", kernel_initializer=initial)(x)
            x = layers.MaxPooling2D(2)(x)
        x = layers.Flatten()(x)
        for units in (120, 84):
            x = layers.Dense(units, "relu", kernel_initializer=keras.initializers.GlorotUniform(next(seeds)))(x)
        probabilities = layers.Dense(10, "softmax", kernel_initializer=keras.initializers.GlorotUniform(next(seeds)))(x)
        self.seed = seed
        self.accuracy: float | None = None
        self.network = keras.Model(image, [x, probabilities], name="judge")

    def look(self, images: Any) -> tuple[np.ndarray, np.ndarray]:
        """What it sees in digits.

        Args:
            images: `(n, 28, 28, 1)` or `(n, 784)`, in [0, 1].

        Returns:
            Features `(n, 84)`, the last hidden layer, and probabilities of the digits `(n, 10)`.

        Raises:
            ValueError: if the images are of another size or leave [0, 1].
        """
        images = np.asarray(images, "float32")
        if images.size == 0 or images.size != 784 * len(images) or not (images.min() >= 0 and images.max() <= 1):
            raise ValueError(f"`images` must have 28 x 28 pixels in [0, 1]. Received: shape {images.shape}")
        features, probabilities = self.network.predict(images.reshape(-1, 28, 28, 1), batch_size=500, verbose=0)
        return features, probabilities

    def learn(self, epochs: int = EPOCHS) -> None:
        """Learn MNIST's first 50,000 training images, in an order that the seed gives; the same each time."""
        import keras

        from zoo import datasets

        (x, y), _ = datasets.mnist()
        classifier = keras.Model(self.network.input, self.network.outputs[1])
        classifier.compile(keras.optimizers.Adam(2e-3), "sparse_categorical_crossentropy")
        rng = np.random.default_rng(self.seed)
        for epoch in range(epochs):
            classifier.optimizer.learning_rate = 2e-3 / 3**epoch
            order = rng.permutation(TRAINING)
            classifier.fit(x[order], y[order], batch_size=BATCH_SIZE, shuffle=False, verbose=0)
        self.accuracy = float(np.mean(self.look(x[TRAINING:])[1].argmax(1) == y[TRAINING:]))


def mnist_judge(seed: int = 0) -> Judge:
    """The trained judge of a seed: from the cache, or trained in under a minute and kept there.

    Args:
        seed: of its weights and of the order of its training data. Keras's own seed is neither used nor changed.

    Returns:
        A `Judge`.

    Raises:
        zoo.files.DataUnavailable: if it must learn and MNIST cannot be had.
    """
    import keras

    place = files.cache_folder() / "judges" / f"mnist_{seed}_{keras.backend.backend()}.npz"
    judge = Judge(seed)
    if place.exists():
        with np.load(place, allow_pickle=False) as arrays:
            judge.network.set_weights([arrays[f"weight_{i}"] for i in range(len(arrays.files) - 1)])
            judge.accuracy = float(arrays["accuracy"])
        return judge
    judge.learn()
    place.parent.mkdir(parents=True, exist_ok=True)
    draft = place.with_suffix(f".{os.getpid()}.npz")
    weights = {f"weight_{i}": weight for i, weight in enumerate(judge.network.get_weights())}
    np.savez(draft, accuracy=np.array(judge.accuracy), **weights)
    os.replace(draft, place)
    return judge
