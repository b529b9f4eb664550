"""JSMA against the Adversarial Robustness Toolbox, on the same network, samples and targets.

The peer takes the two features with the largest derivative of the target's output, whatever the other classes do; zoo weighs pairs by all
classes, as the paper does, and takes the best of all pairs. The peer's rounds are eager calls from Python; zoo's are one compiled loop.
Both are shown with what they reach, since a faster attack that fails is none.
"""

import keras
import numpy as np
from art.attacks.evasion import SaliencyMapMethod
from art.estimators.classification import TensorFlowV2Classifier
from harness import Benchmark
from keras import layers

from zoo import datasets
from zoo.applications import JSMA

GAMMA = 0.145


def main():
    """Logits and probabilities, one sample and a batch."""
    keras.utils.set_random_seed(0)
    (x, y), (x_test, y_test) = datasets.mnist_5k()
    body = [layers.Conv2D(filters, 5, 2, "same", activation="relu") for filters in (8, 16)]
    classifier = keras.Sequential([keras.Input((28, 28, 1)), *body, layers.Flatten(), layers.Dense(64, "relu"), layers.Dense(10)])
    JSMA(classifier, from_logits=True).fit(x, y, batch_size=100, epochs=5, verbose=0)
    inputs = keras.Input((28, 28, 1))
    softmax = keras.Model(inputs, keras.ops.softmax(classifier(inputs)))
    benchmark = Benchmark("jsma", peer="adversarial-robustness-toolbox 1.20")
    for outputs, network in (("logits", classifier), ("probabilities", softmax)):
        model = JSMA(classifier, gamma=GAMMA, outputs=outputs, from_logits=True)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=outputs == "logits")
        peer = TensorFlowV2Classifier(network, 10, (28, 28, 1), loss_object=loss, clip_values=(0.0, 1.0))
        for n in (1, 64):
            part, target = x_test[:n], (y_test[:n] + 1) % 10
            # the peer goes on until more than its share has changed, one round more
            attack = SaliencyMapMethod(peer, theta=1.0, gamma=GAMMA - 2 / 784, batch_size=n, verbose=False)

            def ours(model=model, part=part, target=target):
                return model.attack(part, target)

            def theirs(attack=attack, part=part, target=target):
                return attack.generate(part, np.eye(10)[target])

            found, other = ours(), theirs()
            reached = network.predict(other, verbose=0).argmax(1) == target
            changed = np.sum((other != part).reshape(n, -1), axis=1)
            print(
                f"{outputs}, {n}: zoo reaches {found.success.mean():.1%} by {found.changed.mean():.1f} pixels, "
                f"peer {reached.mean():.1%} by {changed.mean():.1f}"
            )
            benchmark.case(f"{outputs}, batch of {n}", ours, theirs, n, "images", repeats=3)
            benchmark.cases[-1].update(
                reached={"ours": float(found.success.mean()), "peer": float(reached.mean())},
                pixels={"ours": float(found.changed.mean()), "peer": float(changed.mean())},
            )
    benchmark.report()


if __name__ == "__main__":
    main()
