"""The replay memories of zoo against cpprb, whose memory and sum tree are C++, and the agent against the DQN of stable-baselines3.

A round of a memory: add four transitions, draw a batch, set its priorities. zoo is NumPy alone. Rank-based replay has no peer in cpprb, so
it is held against cpprb's proportional one, which does less. Training: both play one copy of CartPole with the same network and the same
number of updates, from a uniform memory (stable-baselines3 has no other); left out where stable-baselines3 is not installed.
"""

import importlib.util
from importlib.metadata import version

import numpy as np
from cpprb import PrioritizedReplayBuffer, ReplayBuffer
from harness import Benchmark

from zoo.environments.replay_buffers import ProportionalReplay, RankReplay, UniformReplay

ROUNDS, STEPS = 300, 2000
FIELDS = {
    "observation": ((4,), "float32"),
    "action": ((), "int32"),
    "reward": ((), "float32"),
    "next_observation": ((4,), "float32"),
    "terminated": ((), "float32"),
}


def transitions(n):
    """`n` transitions of CartPole's shapes."""
    return {name: np.random.default_rng(0).random((n, *shape)).astype(dtype) for name, (shape, dtype) in FIELDS.items()}


def of_zoo(cls, capacity, batch_size):
    """`ROUNDS` times add, draw, update, with zoo's class `cls`."""
    memory, few, errors = cls(capacity, FIELDS, seed=0), transitions(4), np.random.default_rng(0).random((ROUNDS, batch_size))
    memory.add(**transitions(capacity))
    memory.update(np.arange(capacity), np.random.default_rng(1).random(capacity))

    def rounds():
        for error in errors:
            memory.add(**few)
            memory.update(memory.sample(batch_size, 0.4).indices, error)

    return rounds


def of_cpprb(prioritized, capacity, batch_size):
    """The same with cpprb."""
    fields = {name: {"shape": shape or 1, "dtype": np.dtype(dtype)} for name, (shape, dtype) in FIELDS.items()}
    memory = PrioritizedReplayBuffer(capacity, fields, alpha=0.6) if prioritized else ReplayBuffer(capacity, fields)
    few, errors = transitions(4), np.random.default_rng(0).random((ROUNDS, batch_size))
    memory.add(**transitions(capacity))
    if prioritized:
        memory.update_priorities(np.arange(capacity), np.random.default_rng(1).random(capacity))

    def rounds():
        for error in errors:
            memory.add(**few)
            if prioritized:
                memory.update_priorities(memory.sample(batch_size, 0.4)["indexes"], error)
            else:
                memory.sample(batch_size)

    return rounds


def training(benchmark):
    """`STEPS` steps of CartPole with an update for every second one."""
    import gymnasium
    import keras
    import torch
    from stable_baselines3 import DQN

    from zoo.applications import PrioritizedDQN

    # two small matrices are multiplied faster by one thread
    torch.set_num_threads(1)
    env = gymnasium.make("CartPole-v1")
    schedules = {"buffer_size": 50_000, "batch_size": 64, "learning_starts": 0}
    ours = PrioritizedDQN((4,), 2, (128, 128), replay="uniform", double=False, replay_period=2, target_update=200, **schedules)
    ours.compile(optimizer=keras.optimizers.Adam(1e-3))
    peer = DQN("MlpPolicy", env, 1e-3, train_freq=2, target_update_interval=200, policy_kwargs={"net_arch": [128, 128]}, **schedules)
    benchmark.case(
        "training on CartPole, batches of 64",
        ours=lambda: ours.fit(gymnasium.make("CartPole-v1"), STEPS, verbose=0),
        peer=lambda: peer.learn(STEPS, reset_num_timesteps=False),
        work=STEPS,
        unit="steps",
        repeats=5,
    )


def main():
    """Run every case and write the results."""
    with_training = importlib.util.find_spec("stable_baselines3") is not None
    peers = ["cpprb", "stable-baselines3"] if with_training else ["cpprb"]
    benchmark = Benchmark("prioritized_dqn", peer=" and ".join(f"{name} {version(name)}" for name in peers))
    for capacity in (10_000, 1_000_000):
        for batch_size in (32, 256):
            for cls in (ProportionalReplay, RankReplay, UniformReplay):
                benchmark.case(
                    f"{cls.__name__}, {capacity:,} transitions, batches of {batch_size}",
                    ours=of_zoo(cls, capacity, batch_size),
                    peer=of_cpprb(cls is not UniformReplay, capacity, batch_size),
                    work=ROUNDS,
                    unit="rounds",
                )
    if with_training:
        training(benchmark)
    benchmark.report()


if __name__ == "__main__":
    main()
