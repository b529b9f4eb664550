"""How many attempts a learner needs for a task, and not only what it earns in the end: section 2.7 of the roadmap.

Each task is played alone, one after the other, in an environment of its own without a limit of rewards.
"""

from typing import NamedTuple

import numpy as np

from zoo.environments.commai import checks
from zoo.environments.commai.environment import CommAI
from zoo.environments.commai.tasks import chosen


class TaskResult(NamedTuple):
    """What `evaluate` says about a task.

    Args:
        first: number of attempts until the first success, that one included; `None` without any.
        in_a_row: number of attempts until `k` successes in a row, the last of them included; `None` if that never came.
        successes: array of bool, one an attempt.
        curve: the success rate after each attempt, of all attempts until then.
        area: mean of `curve`, from 0 to 1: early successes count more than late ones.
        reward_rate: reward in 1000 bits of time.
        steps: symbols that all attempts took.
    """

    first: int | None
    in_a_row: int | None
    successes: np.ndarray
    curve: np.ndarray
    area: float
    reward_rate: float
    steps: int


def evaluate(learner, tasks="all", attempts=20, k=3, channel="bit", scrambled=False, seed=0):
    """Attempts that a learner needs for tasks.

    Args:
        learner: an object with `act(observation, reward)`, which plays one task after the other and is not told when another one begins; or
            a function of a task's name that gives such an object.
        tasks: those of `CommAI`, in the order in which they are played.
        attempts: how often each task is played; an attempt ends with success, failure or time-out, and is a success if its reward is more
            than 0.
        k: successes in a row for `in_a_row`.
        channel: `"bit"` or `"byte"`.
        scrambled: whether words are pseudo-words.
        seed: of the first task; each has its own.

    Returns:
        Dict of the tasks' names to `TaskResult`.

    Raises:
        ValueError: if an argument is wrong.
    """
    checks.count("attempts", attempts)
    checks.count("k", k)
    checks.count("seed", seed, 0)
    if not callable(getattr(learner, "act", None)) and not callable(learner):
        checks.refuse("learner", "an object with `act`, or a function that gives one", learner)
    if getattr(learner, "channel", channel) != channel:
        checks.refuse("channel", f"{learner.channel!r}, that of the learner", channel)
    results = {}
    for number, task in enumerate(chosen(tasks)):
        player = learner if hasattr(learner, "act") else learner(task.name)
        env = CommAI(task, channel, "sequential", None, scrambled=scrambled, seed=seed + number)
        results[task.name] = _played(player, env, attempts, k)
    return results


def _played(learner, env, attempts, k):
    rewards, steps, reward = [], 0, 0.0
    observation, _ = env.reset()
    while len(rewards) < attempts:
        observation, reward, _, _, info = env.step(learner.act(observation, reward))
        steps += 1
        if info["result"] is not None:
            rewards.append(info["result"])
    # the learner hears of its last reward too
    learner.act(observation, reward)
    successes = np.array(rewards) > 0
    curve = np.cumsum(successes) / np.arange(1, attempts + 1)
    first = int(np.argmax(successes)) + 1 if successes.any() else None
    bits = steps * (1 if env.channel == "bit" else 8)
    return TaskResult(first, _in_a_row(successes, k), successes, curve, float(curve.mean()), 1000 * sum(rewards) / bits, steps)


def _in_a_row(successes, k):
    run = 0
    for attempt, success in enumerate(successes, 1):
        run = run + 1 if success else 0
        if run == k:
            return attempt
    return None
