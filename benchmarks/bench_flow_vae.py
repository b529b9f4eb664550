"""Planar flows of zoo against normflows: the same weights, values first, then time; and a fit to an energy of the plane by both."""

# torch comes before TensorFlow: the other way round the import of its compiler crashes
import torch
import torch._dynamo

# isort: split
from importlib.metadata import version

import keras
import normflows
import numpy as np
from harness import Benchmark
from keras import ops

from zoo import autodiff
from zoo.layers import FlowDensity, PlanarFlow

DIM, LENGTH, POINTS, STEPS, BATCH = 40, 40, 1000, 300, 256


class Target(torch.nn.Module):
    """The energy as normflows takes it."""

    def log_prob(self, z):
        """Up to a constant."""
        return -energy(z, torch.sin)


def energy(z, sin=ops.sin):
    """A band along a sine, like the paper's energy 2, that a wide normal density holds together."""
    return 0.5 * ((z[:, 1] - sin(2 * np.pi * z[:, 0] / 4)) / 0.4) ** 2 + 0.5 * (z[:, 0] / 3) ** 2


def pair(length, dim):
    """The same planar flow twice."""
    ours = PlanarFlow(length=length)
    ours.build((None, dim))
    steps = ops.convert_to_numpy(ours.parameters).reshape(length, -1)
    steps = steps + 0.1 * np.random.default_rng(0).normal(size=steps.shape).astype("float32")
    ours.parameters.assign(steps.ravel())
    rows = torch.tensor(steps)
    theirs = [normflows.flows.Planar((dim,), u=row[None, :dim], w=row[None, dim : 2 * dim], b=row[-1:]) for row in rows]
    return ours, theirs


def through(flows, z):
    """Points and log-determinants of a chain of normflows."""
    total = torch.zeros(len(z))
    for flow in flows:
        z, log_det = flow(z)
        total = total + log_det
    return z, total


def main():
    """Compare values, then time passes and fits."""
    torch.set_num_threads(1)
    ours, theirs = pair(LENGTH, DIM)
    z = np.random.default_rng(1).normal(size=(POINTS, DIM)).astype("float32")
    run = autodiff.compiled(ours, ours)
    with torch.no_grad():
        for a, b in zip(run(z), through(theirs, torch.tensor(z))):
            np.testing.assert_allclose(ops.convert_to_numpy(a), b.numpy(), rtol=1e-3, atol=1e-3)

    def peer_pass():
        with torch.no_grad():
            through(theirs, torch.tensor(z))

    def peer_fit():
        flows = [normflows.flows.Planar((2,)) for _ in range(16)]
        model = normflows.NormalizingFlow(normflows.distributions.DiagGaussian(2), flows, Target())
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        for _ in range(STEPS):
            optimizer.zero_grad()
            model.reverse_kld(BATCH).backward()
            optimizer.step()

    def fit():
        FlowDensity(PlanarFlow(length=16)).fit(energy, STEPS, BATCH, keras.optimizers.Adam(0.01), annealing_steps=0, verbose=0)

    benchmark = Benchmark("flow_vae", peer=f"normflows {version('normflows')}, torch {version('torch')}")
    benchmark.case(
        f"{LENGTH} planar steps and log-determinants, {DIM} numbers",
        ours=lambda: [ops.convert_to_numpy(part) for part in run(z)],
        peer=peer_pass,
        work=POINTS,
        unit="points",
    )
    title = f"{STEPS} updates of 16 planar steps on the plane, compilation counted"
    benchmark.case(title, ours=fit, peer=peer_fit, work=STEPS, unit="updates", repeats=3)
    benchmark.report()


if __name__ == "__main__":
    main()
