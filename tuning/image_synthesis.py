"""Search a small DCGAN on handwritten digits, by how long the discriminator stays unsure."""

import keras_tuner
import numpy as np

from zoo import applications, datasets, tuning


def main():
    """Search width, latent size and learning rate.

    The losses of two players say little about the images: a discriminator that wins leaves nothing to learn from, so its loss, held at the
    end of training, is maximised. Look at the samples of the best trials before you believe the order.
    """
    args = tuning.arguments(__doc__)
    (images, _), _ = datasets.mnist_5k()
    images = 2 * np.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0))) - 1
    data = {"x": images[:256] if args.quick else images}
    goal = keras_tuner.Objective("d_loss", "max")
    tuning.search(applications.DCGAN, data, objective=goal, image_shape=(32, 32, 1), **args.settings).show()


if __name__ == "__main__":
    main()
