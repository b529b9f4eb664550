"""Methods that wrap a classifier of digits: explanation, attacks, defences; and images by optimisation."""

import keras
import numpy as np

from tasks import SEED, Task
from zoo import datasets, trunks
from zoo.applications import JSMA, LRP, DefensiveDistillation, NaturalPreImages, NeuralStyle, RobustOptimization, StrongAdversary


def digits():
    """MNIST, pixels from 0 to 1: training and test images with their labels."""
    return datasets.mnist_5k(seed=SEED)


def network(activation=None):
    """A small convolutional classifier, which gives logits unless told otherwise."""
    layers = keras.layers
    body = [layers.Conv2D(16, 3, 2, "same", activation="relu"), layers.Conv2D(32, 3, 2, "same", activation="relu"), layers.Flatten()]
    return keras.Sequential([keras.Input((28, 28, 1)), *body, layers.Dense(64, "relu"), layers.Dense(10, activation, dtype="float32")])


def trained():
    """The classifier after two epochs."""
    model, ((x, y), _) = network(), digits()
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(True))
    model.fit(x, y, epochs=3, verbose=0)
    return model


def _accuracy(model, x, y):
    return float(np.mean(np.argmax(model.predict(x, batch_size=500, verbose=0), -1) == y))


def task_lrp():
    """Does taking away what LRP finds relevant lower the logit more than a random order does?"""
    (x, y), (x_test, y_test) = digits()
    model = LRP(network(), from_logits=True)

    def score():
        images = x_test[:50]
        label = model.predict(images, verbose=0).argmax(-1)
        start = model.score(images, label)
        drops = []
        for order in (model.relevance(images), np.random.default_rng(SEED).random(images.shape)):
            limit = np.quantile(order.reshape(50, -1), 0.9, axis=1).reshape(50, 1, 1, 1)
            spoiled = np.where(order > limit, 0.0, images).astype("float32")
            drops.append(float(np.mean(start - model.score(spoiled, label))))
        return "fall of the logit", drops[0], drops[1], True

    verbs = {"relevance": lambda: model.relevance(x_test[:32]), "heatmap": lambda: model.heatmap(x_test[:32])}
    return Task(model, {"x": x, "y": y, "epochs": 3}, score, verbs)


def task_jsma():
    """Share of targets reached by salient pixels; the trivial answer are the targets that the digits have already."""
    (x, y), (x_test, _) = digits()
    model, target = JSMA(trained(), from_logits=True), np.arange(20) % 10

    def score():
        before = np.mean(model.predict(x_test[:20], verbose=0).argmax(-1) == target)
        return "targets reached", float(np.mean(model.attack(x_test[:20], target).success)), float(before), True

    return Task(model, {"x": x, "y": y, "epochs": 1}, score, {"attack": lambda: model.attack(x_test[:20], target)})


def task_defensive_distillation():
    """Accuracy after teacher and student have learned."""
    (x, y), (x_test, y_test) = digits()
    model = DefensiveDistillation(network())

    def score():
        return "accuracy", _accuracy(model, x_test, y_test), 0.1, True

    return Task(model, {"x": x, "y": y, "epochs": 10}, score, {"robustness": lambda: model.robustness(x_test[:8])})


def _adversarial(cls):
    """Accuracy under the method's own attack, beside that of plain training."""
    (x, y), (x_test, y_test) = digits()
    model = cls(network(), from_logits=True)
    trivial = cls(trained(), from_logits=True).robust_accuracy(x_test[:200], y_test[:200])

    def score():
        return "accuracy under attack", model.robust_accuracy(x_test[:200], y_test[:200]), trivial, True

    return Task(model, {"x": x, "y": y, "epochs": 10}, score, {"perturb": lambda: model.perturb(x_test[:32], y_test[:32])})


def task_robust_optimization():
    """See `_adversarial`."""
    return _adversarial(RobustOptimization)


def task_strong_adversary():
    """See `_adversarial`."""
    return _adversarial(StrongAdversary)


def task_neural_style():
    """A painted photograph of 256 pixels; the weighted losses beside those of the photograph itself."""
    from skimage import data

    content, style = (
        keras.ops.convert_to_numpy(keras.ops.image.resize(image / 255.0, (256, 256))) for image in (data.astronaut(), data.coffee())
    )
    model = NeuralStyle()

    def loss(image):
        return float(model.evaluate(image, content, style)["loss"])

    trivial = loss(content)

    def score():
        return "loss", loss(content if model.image is None else model.image), trivial, False

    return Task(model, {"content": content, "style": style, "steps": 100, "log_every": 5, "init": "content", "seed": SEED}, score)


def task_natural_pre_images():
    """The distance of codes of pre-images of three photographs to theirs, beside that of noise, in distances between two photographs."""
    from skimage import data

    images = [image[:300, :300] / 255.0 for image in (data.astronaut(), data.chelsea(), data.coffee())]
    images = np.stack([keras.ops.convert_to_numpy(keras.ops.image.resize(image, (96, 96), antialias=True)) for image in images])
    images = np.clip(images, 0, 1).astype("float32")
    model = NaturalPreImages(trunks.trunk("efficientnet_lite0", outputs=["block3b"]), "block3b")
    noise = np.random.default_rng(SEED).random(images.shape).astype("float32")
    trivial = float(model.reconstruction_error(noise, images).mean())

    def score():
        found = noise if model.images is None else model.images
        return "distance of codes", float(model.reconstruction_error(found, images).mean()), trivial, False

    verbs = {
        "maximize": lambda: model.maximize([0, 1], steps=20, verbose=0),
        "caricature": lambda: model.caricature(images, steps=20, verbose=0),
    }
    return Task(model, {"x": images, "seed": SEED}, score, verbs)
