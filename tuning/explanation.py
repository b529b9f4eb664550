"""Search rule, parameters and learning rate of layer-wise relevance propagation by its heat maps of held-out digits."""

import keras
import keras_tuner
from keras import layers

from zoo import applications, datasets, metrics, tuning


class Quality(keras.callbacks.Callback):
    """Logs `val_aopc`: how far the score falls when the most relevant regions of held-out images are destroyed."""

    def __init__(self, images):
        super().__init__()
        self.images = images

    def on_epoch_end(self, epoch, logs=None):
        """Explain the images and destroy them."""
        label = self.model.predict(self.images, verbose=0).argmax(1)
        maps = self.model.heatmap(self.images, label)
        options = {"region": 2, "steps": 8, "draws": 2, "low": -1.0, "verbose": 0}
        logs["val_aopc"] = metrics.aopc(metrics.perturbation_curve(lambda x: self.model.score(x, label), self.images, maps, **options))


def main():
    """Search by `val_aopc`."""
    args = tuning.arguments(__doc__)
    # the classifier is part of the search: one that goes on must start from the same weights
    keras.utils.set_random_seed(0)
    (x, y), (x_test, y_test) = datasets.digits_8x8()
    x, x_test = 2 * x - 1, 2 * x_test - 1
    body = [layers.Conv2D(16, 3, activation="relu"), layers.Flatten(), layers.Dense(32, "relu"), layers.Dense(10, dtype="float32")]
    classifier = keras.Sequential([keras.Input((8, 8, 1)), *body])
    data = {"x": x, "y": y, "batch_size": 64}
    settings = {
        "objective": keras_tuner.Objective("val_aopc", "max"),
        "classifier": classifier,
        "from_logits": True,
        "callbacks": [Quality(x_test[:100])],
    }
    tuning.search(applications.LRP, data, (x_test, y_test), **settings, **args.settings).show()


if __name__ == "__main__":
    main()
