"""Search radius, norm and learning rate of robust optimization on 8 x 8 digits."""

import keras

from zoo import applications, datasets, tuning


def main():
    """Search by the accuracy on held-out digits."""
    args = tuning.arguments(__doc__)
    # the classifier is part of the search: one that goes on must start from the same weights
    keras.utils.set_random_seed(0)
    (x, y), held_out = datasets.digits_8x8()
    classifier = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(64, activation="relu")])
    classifier.add(keras.layers.Dense(10, dtype="float32"))
    data = {"x": x, "y": y, "batch_size": 64}
    settings = {"objective": "val_accuracy", "classifier": classifier, "from_logits": True, **args.settings}
    tuning.search(applications.RobustOptimization, data, held_out, **settings).show()


if __name__ == "__main__":
    main()
