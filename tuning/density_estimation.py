"""Search MADE on handwritten digits in black and white, by the log-likelihood of images that do not train."""

import keras_tuner

from zoo import applications, datasets, tuning


def main():
    """Search width, number of masks, direct connections and learning rate; the loss is in nats."""
    args = tuning.arguments(__doc__)
    (images, _), _ = datasets.mnist_5k()
    x = datasets.binarized(images, seed=0).reshape(-1, 784)
    data = {"x": x[:256] if args.quick else x[:3500], "validation_data": (x[3500:], None)}
    tuning.search(applications.MADE, data, objective=keras_tuner.Objective("val_loss", "min"), **args.settings).show()


if __name__ == "__main__":
    main()
