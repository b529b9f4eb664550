"""SVG(inf)'s gradient, Jacobians of all steps in one pass and a recursion over them, against differentiating the unrolled model.

No kept library has stochastic value gradients; unrolling is what one would write instead. Both are compiled graphs of the same networks and
give the same gradient.
"""

from functools import partial

import keras
import numpy as np
from harness import Benchmark
from keras import ops

from zoo import autodiff
from zoo.applications import SVG
from zoo.environments.pendulum import PendulumReward

TRAJECTORIES, GAMMA = 16, 0.95


def agent(horizon):
    """SVG(inf) for Pendulum."""
    keras.utils.set_random_seed(0)
    return SVG((3,), (1,), "svg_inf", reward=PendulumReward(), horizon=horizon, hidden=(64,), gamma=GAMMA, action_limit=2.0)


def unrolled(model, batch):
    """Minus the mean return in the model with the noise that was inferred, one step after the other."""
    state, total = batch["observation"][:, 0], 0.0
    for t in range(batch["observation"].shape[1]):
        step = [batch[name][:, t] for name in ("observation", "action", "next_observation")]
        eta, xi = model.infer_noise(*step)
        mean, std = model.policy(state)
        action = mean + std * eta
        mean, std = model.dynamics(state, action)
        following = mean + std * xi
        total, state = total + GAMMA**t * model.rewards(state, action, following), following
    return -ops.mean(total)


def gradient(model, loss):
    """`loss(model, batch)` differentiated by the policy, as one graph."""
    weights = model.policy.trainable_variables
    return autodiff.compiled(lambda batch: autodiff.value_and_weight_grad(lambda: loss(model, batch), weights)[1], model)


def main():
    """Measure both in turns, write the results."""
    benchmark = Benchmark("svg", peer="unrolled model")
    for horizon in (10, 40):
        model = agent(horizon)
        batch = model.imagine(np.random.default_rng(0).normal(size=(TRAJECTORIES, 3)))
        ours, peer = gradient(model, SVG.trajectory_loss), gradient(model, unrolled)
        for mine, other in zip(ours(batch), peer(batch), strict=True):
            np.testing.assert_allclose(mine, other, rtol=1e-2, atol=1e-3)
        title = f"policy gradient of {TRAJECTORIES} trajectories of {horizon} steps"
        benchmark.case(title, partial(ours, batch), partial(peer, batch), TRAJECTORIES * horizon, "steps")
    benchmark.report()


if __name__ == "__main__":
    main()
