"""LRP of zoo against zennit: the same network, weights, rules and starting relevance; values first, then time."""

# torch comes before TensorFlow: the other way round the import of its compiler crashes
import torch
import torch._dynamo

# isort: split
from importlib.metadata import version

import keras
import numpy as np
from bench_lrp import network
from harness import Benchmark
from zennit.attribution import Gradient
from zennit.composites import LayerMapComposite
from zennit.rules import AlphaBeta, Epsilon, Pass
from zennit.types import Activation, Convolution
from zennit.types import Linear as AnyLinear

from zoo.applications import LRP

RNG, EPSILON, BATCHES = np.random.default_rng(0), 0.01, (32, 128)
RULES = {
    "epsilon": ({"rule": "epsilon", "epsilon": EPSILON}, lambda: Epsilon(epsilon=EPSILON)),
    "alpha 1, beta 0": ({"alpha": 1.0}, lambda: AlphaBeta(alpha=1.0, beta=0.0)),
    "alpha 2, beta 1": ({"alpha": 2.0}, lambda: AlphaBeta(alpha=2.0, beta=1.0)),
}


def copied(classifier):
    """The network of `bench_lrp` in torch, with its weights."""
    nn = torch.nn
    model = nn.Sequential(
        *(nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(8 * 8 * 64, 128), nn.ReLU(), nn.Linear(128, 10)),
    )
    weights = classifier.get_weights()
    # torch has channels first, in the features of the first dense layer too
    weights[4] = weights[4].reshape(8, 8, 64, 128).transpose(2, 0, 1, 3).reshape(-1, 128)
    axes = {4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}
    for parameter, value in zip(model.parameters(), weights):
        parameter.data = torch.tensor(value.transpose(axes[value.ndim]).copy())
    return model


def main():
    """Each rule at two batch sizes."""
    keras.utils.set_random_seed(0)
    classifier = network()
    twin, benchmark = copied(classifier), Benchmark("lrp_zennit", peer=f"zennit {version('zennit')}")

    def theirs(x, rule):
        composite = LayerMapComposite([(Activation, Pass()), (Convolution, rule()), (AnyLinear, rule())])
        with Gradient(twin, composite) as attributor:
            start = lambda out: out * torch.nn.functional.one_hot(out.argmax(1), 10)  # noqa: E731
            return attributor(torch.tensor(x.transpose(0, 3, 1, 2)), start)[1].numpy().transpose(0, 2, 3, 1)

    for name, (arguments, rule) in RULES.items():
        model = LRP(classifier, from_logits=True, input_range=(-5.0, 5.0), **arguments)
        for batch in BATCHES:
            x = RNG.normal(size=(batch, 32, 32, 3)).astype("float32")
            ours, peer = model.relevance(x, batch_size=batch), theirs(x, rule)
            apart = np.abs(ours - peer).max() / np.abs(peer).max()
            benchmark.case(
                f"{name}, batch of {batch} (largest difference {apart:.0e} of the largest relevance)",
                lambda x=x, batch=batch, model=model: model.relevance(x, batch_size=batch),
                lambda x=x, rule=rule: theirs(x, rule),
                batch,
                "images",
            )
    benchmark.report()


if __name__ == "__main__":
    main()
