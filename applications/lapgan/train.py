"""LAPGAN on CIFAR-10 against a DCGAN of equal size, with classes, with noise of low rank, and with a loss of super-resolution.

    python applications/lapgan/train.py

Every arm has the same images, updates and number of tried settings. Drawn images are judged by windows around samples at each scale, as
the paper has it, and through the eyes of a small classifier that has learned the same classes.
"""

import keras
import numpy as np
from keras import layers

from zoo import datasets, evidence, metrics, plots
from zoo.applications import DCGAN, LAPGAN
from zoo.evidence import Choice, Claim

TRAINING, DEVELOPMENT, EPOCHS, BATCH_SIZE = 16000, 2000, 2, 64
# random seeds begin here; smaller ones were for trials
FIRST_SEED = 10
SIZES = {"generator_units": 400, "discriminator_units": 200, "generator_filters": 16, "discriminator_filters": 16}
DCGAN_FILTERS = (88, 44, 22)
ARMS = {
    "LAPGAN": {},
    "with classes": {"classes": 10},
    "noise of low rank": {"noise": "low_rank"},
    "super-resolution": {"super_resolution": 10.0},
}
# Adam's, by the trials; beta 1 is 0.5
RATES = {"LAPGAN": 1e-3, "with classes": 1e-3, "noise of low rank": 1e-3, "super-resolution": 1e-3, "DCGAN": 1e-3}
TRIED = (2e-4, 1e-3, 3e-3)
# images drawn for the judge; images and draws of each for the windows
JUDGED, LIKELY, DRAWS = 2000, 100, 100
BANDWIDTHS = np.logspace(-1.7, 0.3, 21)
JUDGE_EPOCHS = 5


def main():
    """Train over the seeds, measure, publish."""
    args = evidence.arguments(__doc__, "lapgan_cifar10")
    data = images_and_classes(args.quick)
    judge = Judge(data, args.quick)
    found, models = {}, {}
    for seed in args.seeds:
        for arm in (*ARMS, "DCGAN"):
            model = train(arm, data, FIRST_SEED + seed, RATES[arm], args.quick)
            values = measure(model, arm, judge, data["test"], FIRST_SEED + seed)
            values |= likelihoods(model, arm, data, FIRST_SEED + seed, args.quick)
            for name, value in values.items():
                found.setdefault(name, {}).setdefault(arm, []).append(float(value))
            models.setdefault(arm, model)
            print(f"seed {seed}, {arm}: " + ", ".join(f"{name} {value:.4g}" for name, value in values.items()), flush=True)


def images_and_classes(quick):
    """Training, development and test images in [-1, 1] with their classes."""
    (x, y), (x_test, y_test) = datasets.cifar10()
    order = np.random.default_rng(0).permutation(len(x))[: TRAINING + DEVELOPMENT]
    places = {"training": order[: 640 if quick else TRAINING], "development": order[TRAINING:]}
    data = {name: (2 * x[rows] - 1, y[rows]) for name, rows in places.items()}
    return {**data, "test": (2 * x_test[:JUDGED] - 1, y_test[:JUDGED])}


def train(arm, data, seed, rate, quick=False):
    """A trained model of an arm."""
    keras.utils.set_random_seed(seed)
    (x, y) = data["training"]
    if arm == "DCGAN":
        model = DCGAN((32, 32, 3), filters=DCGAN_FILTERS)
    else:
        model = LAPGAN(**SIZES, **ARMS[arm])
        x = {"image": x, "label": y} if model.classes else x
    model.compile(keras.optimizers.Adam(rate, beta_1=0.5), steps_per_execution=10)
    model.fit(x, batch_size=BATCH_SIZE, epochs=1 if quick else EPOCHS, verbose=0)
    return model


class Judge:
    """A small convolutional classifier of CIFAR-10 that has learned the training images."""

    def __init__(self, data, quick=False):
        keras.utils.set_random_seed(0)
        x = image = keras.Input((32, 32, 3))
        for filters in (32, 64, 128):
            x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)))
            x = layers.MaxPooling2D(2)(x) if filters < 128 else layers.GlobalAveragePooling2D()(x)
        probabilities = layers.Dense(10, "softmax")(x)
        classifier = keras.Model(image, probabilities)
        epochs = 1 if quick else JUDGE_EPOCHS
        rate = keras.optimizers.schedules.CosineDecay(3e-3, epochs * len(data["training"][0]) // BATCH_SIZE)
        classifier.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", steps_per_execution=10)
        classifier.fit(*data["training"], batch_size=BATCH_SIZE, epochs=epochs, verbose=0)
        self.network = keras.Model(image, [x, probabilities])
        self.seen = {part: self.look(data[part][0])[0] for part in ("development", "test")}
        self.accuracy = self.right(*data["development"])
        print(f"the judge is right about {self.accuracy:.3f} of the development images", flush=True)

    def look(self, images):
        """Features `(n, 128)` and probabilities of the classes."""
        return self.network.predict(images, batch_size=500, verbose=0)

    def right(self, images, labels):
        """The share of images whose class it sees."""
        return np.mean(self.look(images)[1].argmax(1) == labels)


def drawn(model, arm, n, seed):
    """Samples and, of the class-conditional form, their classes."""
    labels = np.arange(n) % 10
    return model.sample(n, seed, labels) if arm == "with classes" else model.sample(n, seed), labels


def measure(model, arm, judge, part, seed, name="test"):
    """What the judge sees in samples, and in details that are drawn for small images that are held out."""
    images, labels = drawn(model, arm, JUDGED, seed)
    features, chances = judge.look(images)
    values = {"distance": metrics.frechet_distance(judge.seen[name], features), "score": metrics.classifier_score(chances)}
    values["precision"], values["recall"] = metrics.precision_recall(judge.seen[name], features)
    if arm == "with classes":
        values["asked"] = np.mean(chances.argmax(1) == labels)
    if arm != "DCGAN":
        x, y = part
        refined = model.refine(model.pyramid(x)[-1], y if model.classes else None, seed=seed)
        values["kept"] = judge.right(refined, y)
        values["to_truth"] = np.sqrt(np.mean((refined - x) ** 2))
        small = model.pyramid(refined)[-1]
        values["to_given"] = np.sqrt(np.mean((small - model.pyramid(x)[-1]) ** 2))
    return values


if __name__ == "__main__":
    main()
