"""U-Net's parts against scipy and plain Keras: deformation, weight map, segmentation of a large image, training.

Elastic deformation: `scipy.ndimage.zoom` and `map_coordinates` for each image. Weight map: a distance transform of every cell over the
whole image, sorted, as in the published Keras ports. Network: the same layers in a plain functional model, trained with Keras's own loss,
and asked by `predict` for all tiles of an image at once.
"""

import keras
import numpy as np
from harness import Benchmark
from keras import layers
from scipy import ndimage

from zoo import datasets, losses
from zoo.applications import UNet
from zoo.layers import ElasticDeformation

RNG = np.random.default_rng(0)


def deformation(benchmark):
    """Eight images of 256 x 256 with masks and weights, as tf.data would ask for them."""
    import tensorflow as tf

    image, mask = RNG.normal(size=(8, 256, 256, 1)).astype("float32"), RNG.integers(0, 2, (8, 256, 256)).astype("int32")
    weights = RNG.normal(size=(8, 256, 256)).astype("float32")
    layer = ElasticDeformation()
    ours = tf.function(lambda *data: layer(data))

    def peer():
        for i in range(8):
            field = [ndimage.zoom(RNG.normal(scale=10, size=(3, 3)), 256 / 3, order=3) for _ in range(2)]
            where = np.mgrid[:256, :256] + field
            ndimage.map_coordinates(image[i, ..., 0], where, order=1, mode="mirror")
            ndimage.map_coordinates(mask[i], where, order=0, mode="mirror")
            ndimage.map_coordinates(weights[i], where, order=1, mode="mirror")

    benchmark.case(
        "elastic deformation, image + mask + weights 256 x 256", lambda: ours(image, mask, weights)[0].numpy(), peer, 8, "images"
    )


def weight_map(benchmark):
    """One image of 256 x 256 with about 200 cells."""
    instances = losses.separate(datasets.touching_cells(1, 256)[1][0])

    def peer():
        distances = np.sort([ndimage.distance_transform_edt(instances != n) for n in np.unique(instances)[1:]], axis=0)
        return 10 * np.exp(-((distances[0] + distances[1]) ** 2) / 50)

    benchmark.case(f"weight map, 256 x 256, {instances.max()} cells", lambda: losses.weight_map(instances), peer, 1, "images", repeats=5)


def plain_unet(filters, depth):
    """The network as the Keras examples write it."""
    x = image = keras.Input((None, None, 1))
    skips = []
    for level in range(depth):
        for _ in range(2):
            x = layers.Conv2D(filters * 2**level, 3, padding="same", activation="relu", kernel_initializer="he_normal")(x)
        if level < depth - 1:
            skips.append(x)
            x = layers.MaxPooling2D()(x)
    for level in reversed(range(depth - 1)):
        x = layers.Conv2DTranspose(filters * 2**level, 2, 2)(x)
        x = layers.Concatenate()([skips[level], x])
        for _ in range(2):
            x = layers.Conv2D(filters * 2**level, 3, padding="same", activation="relu", kernel_initializer="he_normal")(x)
    model = keras.Model(image, layers.Conv2D(2, 1, activation="softmax")(x))
    model.compile(keras.optimizers.SGD(1e-3, momentum=0.99), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def network(benchmark):
    """Training steps, and a 500 x 500 image in tiles of 128."""
    ours, peer = UNet(filters=8, depth=4, padding="same", dropout=0.0), plain_unet(8, 4)
    ours.compile(metrics=["accuracy"])
    x, y = RNG.normal(size=(32, 96, 96, 1)).astype("float32"), RNG.integers(0, 2, (32, 96, 96)).astype("int32")
    arguments = {"batch_size": 8, "verbose": 0, "sample_weight": np.ones(y.shape, "float32")}
    benchmark.case("training, 96 x 96", lambda: ours.fit(x, y, **arguments), lambda: peer.fit(x, y, **arguments), 32, "images")
    image = RNG.normal(size=(500, 500)).astype("float32")

    corners = [(row, column) for row in range(0, 500, 128) for column in range(0, 500, 128)]

    def peer_tiles():
        padded = np.pad(image, ((48, 60), (48, 60)), "reflect")[..., None]
        tiles = np.stack([padded[row : row + 224, column : column + 224] for row, column in corners])
        found, result = peer.predict(tiles, batch_size=4, verbose=0)[:, 48:-48, 48:-48], np.empty((512, 512, 2), "float32")
        for (row, column), tile in zip(corners, found):
            result[row : row + 128, column : column + 128] = tile
        return result[:500, :500]

    benchmark.case("overlap-tile segmentation, 500 x 500", lambda: ours.segment(image, tile=128), peer_tiles, 1, "images", repeats=5)


def main():
    """Run all cases."""
    benchmark = Benchmark("unet", peer="scipy and plain Keras")
    deformation(benchmark)
    weight_map(benchmark)
    network(benchmark)
    benchmark.report()


if __name__ == "__main__":
    main()
