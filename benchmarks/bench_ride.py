"""The spatial LSTM of RIDE, diagonal by diagonal, beside the same layer pixel by pixel in one compiled loop: states, and gradients."""

import numpy as np
from harness import Benchmark
from keras import ops

from zoo import autodiff
from zoo.layers import SpatialLSTM

RNG = np.random.default_rng(0)
CHANNELS, UNITS = 24, 64
# images and their sides: batches of training, and single images
SIZES = ((50, 8), (50, 16), (50, 32), (1, 64), (1, 128))


def pixel_by_pixel(layer, x):
    """The states of `layer`, row by row: the carry holds those of the last `width` pixels."""
    batch, height, width, _ = x.shape
    drive = ops.moveaxis(ops.reshape(layer.drive(x), (batch, height * width, -1)), 1, 0)
    inside = np.tile(np.arange(width) > 0, height).astype("float32")[:, None, None]

    def step(last, rows):
        drive, inside = rows
        state = layer.step(drive, last[:, -1] * inside, last[:, 0])
        return ops.concatenate([last[:, 1:], state[:, None]], axis=1), state[:, : layer.units]

    start = ops.zeros((batch, width, 2 * layer.units))
    found = autodiff.scan(step, start, [drive, ops.convert_to_tensor(inside)])[1]
    return ops.reshape(ops.moveaxis(found, 0, 1), (batch, height, width, layer.units))


def states_of(states, layer):
    """Forward."""
    return lambda x: states(layer, x)


def gradients_of(states, layer):
    """Forward and back to the weights."""
    return lambda x: autodiff.value_and_weight_grad(lambda: ops.sum(ops.square(states(layer, x))), layer.trainable_variables)


WORK = {"states": states_of, "gradients": gradients_of}


def main():
    """Run all cases."""
    benchmark = Benchmark("ride", peer="pixel by pixel")
    for batch, side in SIZES:
        x = RNG.normal(size=(batch, side, side, CHANNELS)).astype("float32")
        layer = SpatialLSTM(UNITS)
        layer.build(x.shape)
        np.testing.assert_allclose(layer(x[:2]), pixel_by_pixel(layer, x[:2]), rtol=1e-3, atol=1e-4)

        for work in ("states", "gradients"):
            ours, peer = (autodiff.compiled(WORK[work](states, layer), layer) for states in (lambda layer, x: layer(x), pixel_by_pixel))
            benchmark.case(
                f"{work}, {batch} x {side} x {side} pixels, {UNITS} units",
                lambda run=ours, x=x: done(run(x)),
                lambda run=peer, x=x: done(run(x)),
                batch,
                "images",
                repeats=5,
            )
    benchmark.report()


def done(found):
    """Wait for what was asked: JAX answers before it has computed."""
    last = found[1][-1] if isinstance(found, tuple) else found
    return ops.convert_to_numpy(last)


if __name__ == "__main__":
    main()
