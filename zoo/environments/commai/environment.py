"""The CommAI environment: a learner, a teacher and a world that talk over one channel, symbol by symbol.

Paper: Mikolov, Joulin & Baroni 2015, "A Roadmap towards Machine Intelligence", arXiv 1511.08130, section 2. The tasks follow those of the
platform that its authors' group published, in rules and spirit; words and code are zoo's own.

In each step both sides say one symbol: `step(action)` takes the learner's answer to the last observation, and gives the next symbol of
teacher and world. The reward comes with the last symbol of the message that closes a task. The next step begins the next task, with buffers
and clock cleared; the learner's answer to that last symbol is heard by nobody, so that both sides stay in step.

Differences from the platform:

1. Times are given in bits; in the byte channel an eighth of them counts, so that texts have the same time.
2. Facts are drawn anew for each task and told in it, so that every task can be solved at once by who understands it.
3. Above level 1 the learner's first sentence that is no question or command is judged as a whole, and so are commands and questions. By
   the platform's rule, that the learner's text must end with the answer, who says all answers, or repeats what was told, is rewarded.
4. Where both of two phrases are forbidden, silence is right; a disjunction is fulfilled by either phrase.
"""

import operator
from collections import Counter

from zoo.environments.commai import checks
from zoo.environments.commai.channels import CHANNELS
from zoo.environments.commai.room import Room
from zoo.environments.commai.schedule import SCHEDULES, LevelSchedule
from zoo.environments.commai.tasks import Task, chosen, fresh

try:
    import gymnasium
except ImportError as error:
    raise ImportError("Environments need gymnasium: pip install 'zoo-keras[rl]'") from error


class TimeOff(Task):
    """No task and no reward: things lie in the world, which answers the learner's commands."""

    in_world = True

    def start(self, room):
        """Put things around the learner."""
        room.world.clear()
        room.world.scatter(room.rng)

    def timeout(self, room):
        """Without a word."""
        room.finish(0.0)


class CommAI(gymnasium.Env):
    """Tasks without end: an episode is neither terminated nor truncated.

    Observations and actions are symbols: bits, or bytes of UTF-8. `info` has

    - `task` and `level`, the task's name and level, and `time`, the symbols that it has lasted;
    - `heard`, the text that teacher and world have spoken since its start, and `said`, that of the learner, with all silence;
    - `result`: `None`, or, in the step that ends a task, its reward before the limit;
    - `unlocked`: names of the tasks that may come.

    A learner that is to be judged looks at none of these.

    Args:
        tasks: `"all"`, `"nano"`, `"micro"`, `"level0"` to `"level5"`, the name of a task, a `Task`, or a list of these.
        channel: `"bit"` or `"byte"`.
        schedule: `"levels"`, `"random"`, `"sequential"`, or a function of a list of `Task` that gives a schedule.
        max_reward_per_task: what a task pays in all in a session, after which it pays nothing; `None` is no limit. Negative rewards do not
            count.
        successes: with `"levels"`, how often a task must be solved until those that need it may join.
        scrambled: whether every word of a session is a pseudo-word; not in micro tasks, where letters count.
        seed: of the first reset that is given none.

    Raises:
        ValueError: if an argument is wrong.
    """

    metadata: dict = {"render_modes": []}

    def __init__(self, tasks="all", channel="bit", schedule="levels", max_reward_per_task=10, successes=3, scrambled=False, seed=None):
        self.tasks = {task.name: task for task in chosen(tasks)}
        self.channel = checks.one_of("channel", channel, CHANNELS)
        if not callable(schedule):
            checks.one_of("schedule", schedule, tuple(SCHEDULES))
        if max_reward_per_task is not None:
            checks.number("max_reward_per_task", max_reward_per_task)
        if not isinstance(scrambled, bool):
            checks.refuse("scrambled", "True or False", scrambled)
        self._schedule_of, self.max_reward_per_task, self.scrambled = schedule, max_reward_per_task, scrambled
        self.successes = checks.count("successes", successes)
        self._seed = None if seed is None else checks.count("seed", seed, 0)
        self._symbols = 2 if channel == "bit" else 256
        self.observation_space = gymnasium.spaces.Discrete(self._symbols)
        self.action_space = gymnasium.spaces.Discrete(self._symbols)
        self._new_schedule()
        self._room = None

    # --- playing ---

    def reset(self, *, seed=None, options=None):
        """Begin a session: nothing is earned, solved or scrambled yet, and the learner stands at the origin of the world.

        Args:
            seed: of all chances of this session and the following ones.
            options: `{"keep": True}` goes on with the session and only breaks off the task.

        Returns:
            The first symbol of the first task, and `info`.
        """
        super().reset(seed=self._seed if seed is None and self._room is None else seed)
        if self._room is None or not (options or {}).get("keep"):
            self._room = Room(self.channel, self.np_random, self.scrambled)
            self.earned, self.solved, self.attempts = Counter(), Counter(), Counter()
            self._off = 0
            self._new_schedule()
        self._room.rng = self.np_random
        self._next_task()
        return self._room.speak(), self._info(None)

    def step(self, action):
        """Say a symbol and hear one; returns (observation, reward, False, False, info).

        Raises:
            ValueError: if `action` is no symbol of the channel, or nobody has called `reset`.
        """
        observation, reward, result = self.exchange(action)
        return observation, reward, False, False, self._info(result)

    def exchange(self, action):
        """What `step` does, without its `info`: the symbol that is heard, the reward, and `info["result"]`."""
        try:
            symbol = operator.index(action)
        except TypeError:
            symbol = -1
        if not 0 <= symbol < self._symbols:
            checks.refuse("action", f"a whole number from 0 to {self._symbols - 1}", action)
        room = self._room
        if room is None:
            raise ValueError("`step` must come after `reset`. Received: a step of an environment that was never reset")
        if room.over:
            self._next_task()
        else:
            room.read(symbol)
        observation = room.speak()
        if room.over:
            reward, result = self._pay(), room.reward
        else:
            reward, result = 0.0, None
        return observation, reward, result

    def time_off(self, steps):
        """After the task that is under way, give so many steps without task and reward, in which the learner may explore the world.

        A byte that is being spoken when they are over is finished, and a silence follows. `info["task"]` is `"time_off"` meanwhile.

        Raises:
            ValueError: if `steps` is below 1, or nobody has called `reset`.
        """
        steps = checks.count("steps", steps)
        if self._room is None:
            raise ValueError("`time_off` must come after `reset`. Received: a call to an environment that was never reset")
        self._off = steps

    # --- the state of the session ---

    @property
    def unlocked(self):
        """Names of the tasks that may come."""
        return tuple(self._schedule.unlocked)

    @property
    def scrambler(self):
        """The `Scrambler` of the session, `None` if there is none: with it one can translate for a learner."""
        return self._room and self._room.scrambler

    def _new_schedule(self):
        # tasks keep what they are about on themselves, hence every session has its own
        tasks = [fresh(task) for task in self.tasks.values()]
        if callable(self._schedule_of):
            self._schedule = self._schedule_of(tasks)
        elif self._schedule_of == "levels":
            self._schedule = LevelSchedule(tasks, self.successes)
        else:
            self._schedule = SCHEDULES[self._schedule_of](tasks)

    def _next_task(self):
        if self._off:
            task = TimeOff("time_off", time=self._off if self.channel == "bit" else 8 * self._off)
            self._off = 0
        else:
            task = self._schedule.next(self.np_random)
        self._room.begin(task)
        self._heard = self._said = ""

    def _pay(self):
        """The reward of the task that has ended, as far as the limit allows."""
        task, reward = self._room.task, self._room.reward
        if isinstance(task, TimeOff):
            return 0.0
        self.attempts[task.name] += 1
        self.solved[task.name] += reward > 0
        self._schedule.ended(task, reward > 0)
        if reward > 0 and self.max_reward_per_task is not None:
            reward = min(reward, self.max_reward_per_task - self.earned[task.name])
        self.earned[task.name] += max(reward, 0)
        return float(reward)

    def _info(self, result):
        room = self._room
        # texts are decoded when a byte has been completed, and not at every bit
        if len(self._heard) != len(room.mouth.spoken):
            self._heard = room.mouth.spoken.decode("utf-8", "replace")
        if len(self._said) != len(room.said):
            self._said = room.said.decode("utf-8", "replace")
        return {
            "task": room.task.name,
            "level": room.task.level,
            "time": room.time,
            "heard": self._heard,
            "said": self._said,
            "result": result,
            "unlocked": self._schedule.unlocked,
        }
