"""The replay memories of zoo against cpprb 11, whose memory and sum tree are C++: add four transitions, draw a batch, set its priorities.

zoo is NumPy alone. A small batch costs both about what a few dozen calls from Python cost; with a large one the C++ tree gains on the blocks
that NumPy sums. Rank-based replay has no peer in cpprb, so it is held against cpprb's proportional one.
"""

import numpy as np
from cpprb import PrioritizedReplayBuffer, ReplayBuffer
from harness import Benchmark

from zoo.environments.replay_buffers import ProportionalReplay, RankReplay, UniformReplay

ROUNDS = 300
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


def main():
    """Run every case and write the results."""
    benchmark = Benchmark("prioritized_dqn", peer="cpprb 11.0.0")
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
    benchmark.report()


if __name__ == "__main__":
    main()
