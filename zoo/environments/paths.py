"""Whole paths of a policy, gathered step by step from a `Rollout` for learners that throw their experience away after an update."""

import numpy as np
from scipy.signal import lfilter


class Paths:
    """Gathers paths until there are enough steps, or enough paths, and every path has come to its end.

    The copies of a vectorised environment play side by side. When there is enough, copies at the start of a path stop counting, and
    the others play theirs to its end, so that no path is cut and short ones are not favoured. Environments that are in the midst of an
    episode afterwards are reset: the next paths belong to the next policy alone.

    Args:
        rollout: a `Rollout`.
        steps: steps to gather, at least; or
        paths: paths to gather, at least.
        length: steps of a path at most; a longer one is cut as if by a time limit. `None` for no limit.
    """

    def __init__(self, rollout, steps=None, paths=None, length=None):
        if (steps is None) == (paths is None):
            raise ValueError(f"One of `steps` and `paths` must be given. Received: steps={steps}, paths={paths}")
        self.rollout, self.steps, self.paths, self.length = rollout, steps, paths, length
        self._clear()

    def _clear(self):
        self.kept, self.gathered, self.ends, self.closing = [], 0, 0, False
        self.lengths = np.zeros(self.rollout.envs, "int64")
        self.counting = np.ones(self.rollout.envs, bool)

    def add(self, transitions):
        """Take what a step of the rollout gave.

        Returns:
            Whether all is gathered that is wanted; `take` then gives it.
        """
        envs = transitions["env"]
        self.lengths[envs] += 1
        ended = (transitions["terminated"] + transitions["truncated"]) > 0
        last = ended | (self.lengths[envs] == self.length)
        wanted = self.counting[envs]
        self.kept.append({**{name: values[wanted] for name, values in transitions.items()}, "last": last[wanted]})
        self.gathered += int(wanted.sum())
        self.ends += int(last[wanted].sum())
        self.lengths[envs[last]] = 0
        if self.closing:
            self.counting[envs[last]] = False
        elif self.gathered >= self.steps if self.paths is None else self.ends >= self.paths:
            self.closing, self.counting = True, self.lengths > 0
        if not self.lengths.any() and not ended.all():
            # all are at the start of a path, which lies at the start of an episode
            self.rollout.restart()
        return self.closing and not self.counting.any()

    def take(self):
        """The paths, one after the other, and a new start.

        Returns:
            Dict of arrays with the keys of a transition and `last`, which marks the last row of each path.
        """
        kept = {name: np.concatenate([step[name] for step in self.kept]) for name in self.kept[0]}
        order = np.argsort(kept["env"], kind="stable")
        self.rollout.restart()
        self._clear()
        return {name: values[order] for name, values in kept.items()}


def discounted_sums(values, last, discount):
    """Sums of each value and the discounted ones that follow it in its path, `values[t] + discount * values[t + 1] + ...`.

    Args:
        values: array `(steps,)`, paths one after the other.
        last: bool array `(steps,)`, true at the last step of each path.
        discount: factor for each step.

    Returns:
        Array `(steps,)`, float64.
    """
    ends = np.flatnonzero(last)[:-1] + 1
    backwards = [lfilter([1.0], [1.0, -discount], path[::-1])[::-1] for path in np.split(np.asarray(values, "float64"), ends)]
    return np.concatenate(backwards)
