"""Which task comes next: at random, one after the other, or by levels, where tasks unlock when those that they build on have been solved.

A schedule has `next(rng)`, `ended(task, solved)` and `unlocked`, the names of the tasks that it may choose.
"""

from collections import Counter

from zoo.environments.commai import checks
from zoo.environments.commai.language import choice


class RandomSchedule:
    """Any task, each time.

    Args:
        tasks: list of `Task`.
    """

    def __init__(self, tasks):
        self.tasks, self.unlocked = list(tasks), tuple(task.name for task in tasks)

    def next(self, rng):
        """A task."""
        return choice(rng, self.tasks)

    def ended(self, task, solved):
        """A task has ended."""


class SequentialSchedule(RandomSchedule):
    """One task after the other, in the order in which they are given, and again."""

    def __init__(self, tasks):
        super().__init__(tasks)
        self._number = -1

    def next(self, rng):
        """A task."""
        self._number += 1
        return self.tasks[self._number % len(self.tasks)]


class LevelSchedule(RandomSchedule):
    """Any of the tasks that are unlocked. A task joins once each task that it needs has been solved `successes` times.

    What a task needs and the environment has not is taken as solved.

    Args:
        tasks: list of `Task`.
        successes: how often, in all, and not in a row.
    """

    def __init__(self, tasks, successes=3):
        super().__init__(tasks)
        self.successes, self.solved = checks.count("successes", successes), Counter()
        self._by_name = {task.name: task for task in tasks}
        self._unlock()
        if not self.unlocked:
            checks.refuse("tasks", "such that one of them needs no other", sorted(self._by_name))

    def next(self, rng):
        """A task."""
        return self._by_name[choice(rng, self.unlocked)]

    def ended(self, task, solved):
        """A task has ended: see what joins."""
        if solved and task.name in self._by_name:
            self.solved[task.name] += 1
            self._unlock()

    def _unlock(self):
        ready = {name for name in self._by_name if self.solved[name] >= self.successes}
        self.unlocked = tuple(task.name for task in self.tasks if all(need in ready or need not in self._by_name for need in task.needs))


SCHEDULES = {"random": RandomSchedule, "sequential": SequentialSchedule, "levels": LevelSchedule}
