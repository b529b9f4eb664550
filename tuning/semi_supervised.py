"""Search epsilon of virtual adversarial training with 100 labelled digits."""

import keras
import numpy as np

from zoo import applications, datasets, tuning


def main():
    """Search the one hyperparameter that the paper tunes, and the learning rate, by the accuracy on held-out digits."""
    args = tuning.arguments(__doc__, epochs=30)
    # the classifier is part of the search: one that goes on must start from the same weights
    keras.utils.set_random_seed(0)
    (x, y), (x_test, y_test) = datasets.digits_8x8()
    few = np.where(np.arange(len(y)) < 100, y, -1)
    classifier = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(100, activation="relu")])
    classifier.add(keras.layers.Dense(10, dtype="float32"))
    data = {"x": x, "y": few, "batch_size": 128}
    settings = {"objective": "val_accuracy", "classifier": classifier, "from_logits": True, **args.settings}
    tuning.search(applications.VAT, data, (x_test, y_test), **settings).show()


if __name__ == "__main__":
    main()
