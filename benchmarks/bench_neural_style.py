"""NeuralStyle against the way of Keras's own example `neural_style_transfer`: VGG19, content, style and image in one batch at every step.

Both have VGG19's shape with random weights (the time does not depend on them), the same layers, images of 128 x 128, and SGD on the image.
The peer passes content and style through the network at every step, as the example does; ours computes what they give once.
"""

import keras
import numpy as np
import tensorflow as tf
from harness import Benchmark

from zoo.applications import NeuralStyle

SIDE, STEPS = 128, 4
CONTENT, STYLE = "block4_conv2", tuple(f"block{n}_conv1" for n in range(1, 6))


def peer_step(content, style):
    """One step of the example's loop: losses and gradient of the three images in a batch, then SGD."""
    vgg = keras.applications.VGG19(include_top=False, weights=None)
    extractor = keras.Model(vgg.input, {name: vgg.get_layer(name).output for name in {CONTENT, *STYLE}})
    image = tf.Variable(content)
    optimizer = keras.optimizers.SGD(1e-6)
    optimizer.build([image])

    def gram(x):
        flat = tf.reshape(tf.transpose(x, (2, 0, 1)), (x.shape[-1], -1))
        return flat @ tf.transpose(flat)

    @tf.function
    def gradient():
        with tf.GradientTape() as tape:
            found = extractor(tf.stack([content, style, image]))
            loss = tf.reduce_sum((found[CONTENT][2] - found[CONTENT][0]) ** 2) / 2
            for name in STYLE:
                x = found[name]
                scale = 4.0 * x.shape[-1] ** 2 * (x.shape[1] * x.shape[2]) ** 2
                loss += 1e3 * tf.reduce_sum((gram(x[1]) - gram(x[2])) ** 2) / scale / len(STYLE)
        return loss, tape.gradient(loss, image)

    def step():
        loss, slope = gradient()
        optimizer.apply([slope], [image])
        return float(loss)

    return step


def main():
    """Time a step of either, and a step of L-BFGS."""
    content, style = np.random.default_rng(0).random((2, SIDE, SIDE, 3)).astype("float32")
    step = peer_step(255 * content, 255 * style)
    descent, lbfgs = NeuralStyle(pooling="max"), NeuralStyle(pooling="max")
    descent.compile(optimizer=keras.optimizers.SGD(1e-6))
    benchmark = Benchmark("neural_style", peer=f"Keras {keras.__version__} example neural_style_transfer")
    for title, model in (("VGG19, 128 x 128, gradient descent", descent), ("VGG19, 128 x 128, L-BFGS against gradient descent", lbfgs)):
        benchmark.case(
            title,
            ours=lambda model=model: model.fit(content, style, steps=STEPS, init="content", verbose=0),
            peer=lambda: [step() for _ in range(STEPS)],
            work=STEPS * SIDE**2,
            unit="pixels",
            repeats=3,
        )
    benchmark.report()


if __name__ == "__main__":
    main()
