"""Early inference on MNIST: whether the first moves after a nudge carry back-propagation's errors, and how well they teach.

    python applications/early_inference/train.py

Three hidden layers of tanh units show where changes point, before any training and after some. The default network, with one hidden layer,
learns by its two phases; a perceptron of the same size that learns by back-propagation has the same updates.
"""

import keras
import numpy as np
from keras import layers
from rich.progress import track

from zoo import datasets, evidence, plots
from zoo.applications import EarlyInference
from zoo.evidence import Choice, Claim

TRAINING, EPOCHS, TRIED_EPOCHS = 50000, 4, 1
# of the network, and of the perceptron
RATES = {"two phases": (0.05, 0.1, 0.2), "back-propagation": (0.05, 0.1, 0.2)}
DEEP = {"hidden_units": (100, 100, 100), "activation": "tanh", "free_steps": 60, "nudged_steps": 12}
# images whose changes are looked at, how hard they are pushed, and how many steps are early and late
IMAGES, PUSH, EARLY, LATE = 500, {"nudge": 0.5, "step_size": 0.1, "free_steps": 400}, 4, 400
STEPS = (1, 2, 3, 4, 6, 8, 12, 20, 40, 100, 400)
NEAR, FAR = "hidden_2", "hidden_0"
DATA = """MNIST (LeCun et al. 1998; CC BY-SA 3.0): the first 50,000 training images, the other 10,000 to choose rates, and its test images.
Cosines are means over the first 500 test images. The shipped weights are those of seed 0."""
NOTES = f"""The paper is theory; what it derives is measured here on three hidden layers of 100 tanh units, pulled with strength
{PUSH["nudge"]} in steps of {PUSH["step_size"]} time constants from a fixed point ({PUSH["free_steps"]} free steps), before any training.
{EARLY} steps are the fewest after which the first layer has moved; after {LATE} the network has settled again. Weaker pulls or smaller
steps bring no more: changes of the first layer are then lost in float32 (a cosine of 0.1 at strength 0.1 and steps of 0.02). The networks
that learn have {EPOCHS} epochs in batches of 20; that of two phases is the default, the perceptron has ReLUs, a softmax and
cross-entropy."""


def main():
    """Measure cosines, train over the seeds, compare, write the preset."""
    args = evidence.arguments(__doc__, "early_inference_mnist")
    (x, y), (x_test, y_test) = datasets.mnist()
    size, epochs = (1000, 1) if args.quick else (TRAINING, EPOCHS)
    train, develop = (x[:size], y[:size]), (x[TRAINING:], y[TRAINING:])
    rates = {arm: best_rate(arm, train, develop, args.quick) for arm in RATES}
    print("rates", rates, flush=True)
    cosines, scores, first = [], {arm: [] for arm in RATES}, None
    for seed in track(args.seeds, "Seeds"):
        cosines.append(alignment(seed, x_test[:IMAGES], y_test[:IMAGES]))
        for arm, rate in rates.items():
            model, accuracy = learnt(arm, rate, seed, train, (x_test, y_test), epochs)
            scores[arm].append(accuracy)
            first = first or model
        print(
            f"seed {seed}: {[(n, round(float(v), 3)) for n, v in cosines[-1][FAR]]} { {arm: v[-1] for arm, v in scores.items()} }",
            flush=True,
        )
    evidence.publish(
        first,
        args,
        claims(cosines, scores, args.seeds),
        data=DATA,
        notes=NOTES,
        figure=figure(cosines),
        choices=[
            Choice(
                "the last 10,000 training images, first seed, one epoch",
                ", ".join(f"{arm}: rate {rate} of {', '.join(map(str, RATES[arm]))}" for arm, rate in rates.items()),
                {arm: len(tried) for arm, tried in RATES.items()},
            )
        ],
    )


def best_rate(arm, train, develop, quick):
    """The rate of an arm that is right for most of the development images."""
    found = {rate: learnt(arm, rate, 99, train, develop, TRIED_EPOCHS)[1] for rate in RATES[arm][: 1 if quick else None]}
    print(arm, found, flush=True)
    return max(found, key=found.get)


def learnt(arm, rate, seed, train, test, epochs):
    """A model after training, and its accuracy in percent."""
    keras.utils.set_random_seed(seed)
    model = EarlyInference() if arm == "two phases" else perceptron()
    options = {} if arm == "two phases" else {"loss": "sparse_categorical_crossentropy"}
    model.compile(keras.optimizers.SGD(rate), jit_compile=True, **options)
    model.fit(*train, batch_size=20, epochs=epochs, verbose=0)
    return model, 100 * float(np.mean(model.predict(test[0], batch_size=500, verbose=0).argmax(1) == test[1]))


def perceptron():
    """One hidden layer of the size of the network's."""
    return keras.Sequential([keras.Input((28, 28, 1)), layers.Flatten(), layers.Dense(500, "relu"), layers.Dense(10, "softmax")])


def alignment(seed, x, y):
    """Layer -> pairs of steps and the mean cosine of changes and errors."""
    keras.utils.set_random_seed(seed)
    model, found = EarlyInference(**DEEP), {NEAR: [], FAR: []}
    for steps in STEPS:
        cosines = model.alignment(x, y, steps=steps, **PUSH)
        for layer, pairs in found.items():
            # a layer that nothing has reached has no direction
            pairs.append((steps, np.nanmean(cosines[layer]) if steps > ("output", NEAR, "hidden_1", FAR).index(layer) else 0.0))
    return found


def claims(cosines, scores, seeds):
    """What the paper says, from all seeds."""
    far, near = ([dict(found[layer]) for found in cosines] for layer in (FAR, NEAR))
    angles = {"dataset": f"{IMAGES} MNIST test images", "metric": "cosine of changes and back-propagated errors, first layer of three"}
    return [
        Claim(
            "The first changes after a nudge point more along back-propagation's errors than the changes once the network has settled",
            "early inference approximates back-propagation (title)",
            **angles,
            higher_is_better=True,
            baseline=f"after {LATE} steps",
            baseline_values=[float(found[LATE]) for found in far],
            values=[float(found[EARLY]) for found in far],
            seeds=seeds,
            matters=0.02,
        ),
        Claim(
            "Errors reach the layer farthest from the outputs as well as the nearest one",
            "the argument goes from layer to layer (section 3)",
            **angles,
            higher_is_better=True,
            baseline="the last hidden layer",
            baseline_values=[float(found[EARLY]) for found in near],
            values=[float(found[EARLY]) for found in far],
            seeds=seeds,
            margin=0.02,
        ),
        Claim(
            "Two phases of inference teach as well as back-propagation, within one point",
            "not measured; 2 to 3 % of errors in the later paper",
            "MNIST, 10,000 test images",
            "accuracy in percent",
            True,
            "a perceptron of the same size, back-propagation",
            scores["back-propagation"],
            scores["two phases"],
            seeds,
            margin=1.0,
        ),
    ]


def figure(cosines):
    """Cosines by steps after the nudge."""
    names = {NEAR: "last hidden layer", FAR: "first hidden layer"}
    curves = {name: [tuple(zip(*found[layer])) for found in cosines] for layer, name in names.items()}
    drawn = plots.learning_curves(
        [curves], ["Where states move after a nudge"], "steps after the nudge", "cosine with back-propagated errors"
    )
    drawn.axes[0].set(xscale="log")
    return drawn


if __name__ == "__main__":
    main()
