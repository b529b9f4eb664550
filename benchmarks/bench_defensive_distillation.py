"""Carlini and Wagner's l2 attack, which breaks the defence, against that of the Adversarial Robustness Toolbox, defended and not.

Both have as many searches of c, and steps in each. The peer steps along the gradient and searches the length of every step; zoo takes
steps of Adam, as the paper does. The peer's loops are Python's; zoo's are one compiled loop. Both are shown with how far they had to go.
"""

import keras
import numpy as np
from art.attacks.evasion import CarliniL2Method
from art.estimators.classification import TensorFlowV2Classifier
from harness import Benchmark
from keras import layers

from zoo import attacks, autodiff, datasets
from zoo.applications import DefensiveDistillation

STEPS, SEARCHES, RATE = 50, 6, 0.1


def main():
    """The undefended teacher at temperature 1, and a student; one sample and a batch."""
    (x, y), (x_test, _) = datasets.mnist_5k()
    benchmark = Benchmark("defensive_distillation", peer="adversarial-robustness-toolbox 1.20")
    for temperature in (1.0, 20.0):
        network = trained(x, y, temperature)
        for n in (1, 16):
            compare(benchmark, network, f"T = {temperature:g}, batch of {n}", x_test[:n])
    benchmark.report()


def trained(x, y, temperature):
    """The student of a short training, a model of logits."""
    keras.utils.set_random_seed(0)
    body = [layers.Conv2D(filters, 5, 2, "same", activation="relu") for filters in (8, 16)]
    teacher = keras.Sequential([keras.Input((28, 28, 1)), *body, layers.Flatten(), layers.Dense(64, "relu"), layers.Dense(10)])
    model = DefensiveDistillation(teacher, temperature=temperature)
    model.compile(keras.optimizers.Adam(8e-3))
    model.fit(x, y, batch_size=100, epochs=5, verbose=0)
    return model.student


def compare(benchmark, network, title, x):
    """Time both on the same samples, and note what they reach."""
    label = network.predict(x, verbose=0).argmax(1).astype("int32")

    def attacked(x, y):
        return tuple(attacks.carlini_wagner(network, x, y, steps=STEPS, searches=SEARCHES, rate=RATE))

    run = autodiff.compiled(attacked, network)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    peer = TensorFlowV2Classifier(network, 10, (28, 28, 1), loss_object=loss, clip_values=(0.0, 1.0))
    options = {"binary_search_steps": SEARCHES, "max_iter": STEPS, "learning_rate": RATE, "initial_const": 1e-3}
    attack = CarliniL2Method(peer, batch_size=len(x), verbose=False, **options)

    def ours():
        return [keras.ops.convert_to_numpy(each) for each in run(x, label)]

    def theirs():
        return attack.generate(x, label)

    _, success, distance = ours()
    other = theirs()
    fooled = network.predict(other, verbose=0).argmax(1) != label
    both = success & fooled
    length = np.linalg.norm((other - x).reshape(len(x), -1), axis=1)
    lengths = {name: float(v[both].mean()) if both.any() else None for name, v in (("ours", distance), ("peer", length))}
    print(f"{title}: zoo fools {success.mean():.1%}, peer {fooled.mean():.1%}; where both do, by {lengths}")
    benchmark.case(title, ours, theirs, len(x), "images", repeats=3)
    benchmark.cases[-1].update(fooled={"ours": float(success.mean()), "peer": float(fooled.mean())}, length=lengths)


if __name__ == "__main__":
    main()
