"""The attacks of adversarial training against the Adversarial Robustness Toolbox, on the same network and samples.

The peer runs its steps in Python, each a compiled or eager call; zoo runs an attack as one compiled loop. Both give the same samples.
"""

import keras
import numpy as np
from art.attacks.evasion import FastGradientMethod, ProjectedGradientDescent
from art.estimators.classification import TensorFlowV2Classifier
from harness import Benchmark
from keras import layers

from zoo import datasets
from zoo.applications import RobustOptimization

STEPS = 20


def main():
    """Run all cases."""
    keras.utils.set_random_seed(0)
    (x, y), _ = datasets.mnist_5k()
    body = [layers.Conv2D(filters, 3, 2, "same", activation="relu") for filters in (16, 32)]
    classifier = keras.Sequential([keras.Input((28, 28, 1)), *body, layers.Flatten(), layers.Dense(10)])
    model = RobustOptimization(classifier, from_logits=True)
    model.fit(x, y, batch_size=100, epochs=1, verbose=0)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    peer = TensorFlowV2Classifier(lambda x, training=False: classifier(x), 10, (28, 28, 1), loss_object=loss, clip_values=(0.0, 1.0))
    benchmark = Benchmark("robust_optimization", peer="adversarial-robustness-toolbox 1.20")
    for n in (1, 256):
        part, label = x[:n], y[:n]
        for norm, order, epsilon in (("linf", np.inf, 0.1), ("l2", 2, 1.0)):
            fast = FastGradientMethod(peer, norm=order, eps=epsilon, batch_size=n)
            step = 2.5 * epsilon / STEPS
            strong = ProjectedGradientDescent(peer, order, epsilon, step, max_iter=STEPS, batch_size=n, verbose=False)
            for name, attack, steps in (("one step", fast, 1), (f"{STEPS} steps", strong, STEPS)):

                def ours(steps=steps, part=part, label=label, norm=norm, epsilon=epsilon, step=step):
                    return model.perturb(part, label, epsilon, norm, steps, step)

                def theirs(attack=attack, part=part, label=label):
                    return attack.generate(part, label)

                difference = np.abs(ours() - theirs())
                print(f"{name}, {norm}, {n}: largest difference of a pixel {difference.max():.1e}, mean {difference.mean():.1e}")
                benchmark.case(f"{name}, {norm}, batch of {n}", ours, theirs, n, "images", repeats=5)
    benchmark.report()


if __name__ == "__main__":
    main()
