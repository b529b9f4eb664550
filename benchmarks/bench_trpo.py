"""TRPO of zoo against that of sb3-contrib: steps a second of the whole training on CartPole, and the return that both reach.

Both play eight copies of CartPole with the same network, batch, divergence, discount and generalized advantage estimation. sb3-contrib fits
its value network by 10 epochs of Adam, zoo by three Gauss-Newton steps.
"""

from importlib.metadata import version

import gymnasium
import keras
import torch
from harness import Benchmark
from sb3_contrib import TRPO as Peer
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy

from zoo.applications import TRPO

STEPS, BATCH, ENVS, WIDTH, LAM = 16_384, 1024, 8, 30, 0.97


def ours():
    """A training with zoo, and its agent."""
    keras.utils.set_random_seed(0)
    settings = {"hidden": (WIDTH,), "batch_steps": BATCH, "baseline": "value", "lam": LAM, "fisher_share": 1.0}
    agent = TRPO((4,), num_actions=2, **settings)
    agent.fit(gymnasium.make_vec("CartPole-v1", ENVS), STEPS, verbose=0, seed=0)
    return agent


def theirs():
    """The same with sb3-contrib."""
    settings = {"n_steps": BATCH // ENVS, "gae_lambda": LAM, "policy_kwargs": {"net_arch": [WIDTH]}, "device": "cpu"}
    model = Peer("MlpPolicy", make_vec_env("CartPole-v1", ENVS, seed=0), seed=0, **settings)
    return model.learn(STEPS)


def main():
    """Measure both in turns, write the results."""
    # small matrices are multiplied faster by one thread
    torch.set_num_threads(1)
    mine = ours().evaluate(gymnasium.make_vec("CartPole-v1", 50), 50, seed=1)["mean_return"]
    peer = evaluate_policy(theirs(), gymnasium.make("CartPole-v1"), 50)[0]
    benchmark = Benchmark("trpo", peer=f"sb3-contrib {version('sb3-contrib')}")
    benchmark.case(
        f"training on CartPole (mean return after it {mine:.0f} against {peer:.0f})",
        ours=ours,
        peer=theirs,
        work=STEPS,
        unit="steps",
        repeats=3,
    )
    benchmark.report()


if __name__ == "__main__":
    main()
