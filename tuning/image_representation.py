"""Search a winner-take-all autoencoder on handwritten digits, by the error of its reconstructions."""

import keras_tuner

from zoo import applications, datasets, tuning


def main():
    """Search units and learning rate of a fixed sparsity: a higher rate of activity always has the lower error.

    The error says little of how well features tell classes apart: where there are labels, try the best trials with a linear classifier.
    """
    args = tuning.arguments(__doc__)
    (images, _), _ = datasets.mnist_5k()
    data = {"x": images[:256] if args.quick else images}
    tuning.search(applications.WTAAutoencoder, data, objective=keras_tuner.Objective("loss", "min"), rate=0.05, **args.settings).show()


if __name__ == "__main__":
    main()
