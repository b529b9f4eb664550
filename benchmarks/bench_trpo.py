"""TRPO of zoo against that of sb3-contrib: steps a second of the whole training on CartPole, and the return that both reach.

Both play eight copies of CartPole with the same network, batch, divergence, discount and generalized advantage estimation. sb3-contrib fits
its value network by 10 epochs of Adam, zoo by three Gauss-Newton steps.
"""

# torch and its compiler come before TensorFlow: the other way round the import of the compiler crashes
import torch
import torch._dynamo

# isort: split
from importlib.metadata import version

import gymnasium
import keras
from harness import Benchmark
from sb3_contrib import TRPO as Peer
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy

from zoo.applications import TRPO

STEPS, BATCH, ENVS, WIDTH, LAM = 16_384, 1024, 8, 30, 0.97


class Ours:
    """A training with zoo that goes on at each call."""

    def __init__(self):
        keras.utils.set_random_seed(0)
        settings = {"hidden": (WIDTH,), "batch_steps": BATCH, "baseline": "value", "lam": LAM, "fisher_share": 1.0}
        self.agent = TRPO((4,), num_actions=2, **settings)
        self.env = gymnasium.make_vec("CartPole-v1", ENVS)

    def __call__(self):
        """Train for `STEPS` more."""
        self.agent.fit(self.env, STEPS, verbose=0, seed=0)

    def mean_return(self):
        """Of 50 episodes."""
        return self.agent.evaluate(gymnasium.make_vec("CartPole-v1", 50), 50, seed=1)["mean_return"]


class Theirs:
    """The same with sb3-contrib."""

    def __init__(self):
        settings = {"n_steps": BATCH // ENVS, "gae_lambda": LAM, "policy_kwargs": {"net_arch": [WIDTH]}, "device": "cpu"}
        self.agent = Peer("MlpPolicy", make_vec_env("CartPole-v1", ENVS, seed=0), seed=0, **settings)

    def __call__(self):
        """Train for `STEPS` more."""
        self.agent.learn(STEPS, reset_num_timesteps=False)

    def mean_return(self):
        """Of 50 episodes."""
        return evaluate_policy(self.agent, make_vec_env("CartPole-v1", 1, seed=1), 50)[0]


def main():
    """Measure both in turns, write the results."""
    # small matrices are multiplied faster by one thread
    torch.set_num_threads(1)
    ours, theirs = Ours(), Theirs()
    benchmark = Benchmark("trpo", peer=f"sb3-contrib {version('sb3-contrib')}")
    ours(), theirs()
    returns = f"mean return after {STEPS} steps {ours.mean_return():.0f} against {theirs.mean_return():.0f}"
    benchmark.case(f"training on CartPole ({returns})", ours=ours, peer=theirs, work=STEPS, unit="steps", repeats=5)
    benchmark.report()


if __name__ == "__main__":
    main()
