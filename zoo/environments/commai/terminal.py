"""A terminal in which a person plays the learner: `python -m zoo.environments.commai`."""

import argparse

from zoo.environments.commai import checks
from zoo.environments.commai.channels import CHANNELS
from zoo.environments.commai.environment import CommAI
from zoo.environments.commai.learners import Listener
from zoo.environments.commai.schedule import SCHEDULES
from zoo.environments.commai.tasks import GROUPS

HELP = """You are the learner. What you type is said, so end it with a full stop; an empty line is silence.
:tasks shows what is unlocked, :off 500 asks for time off, :quit ends."""
# silences after which the person is asked again
PATIENCE = 10


def play(env=None, read=input, write=print):
    """Let a person be the learner, until `:quit` or the end of the input.

    Args:
        env: a `CommAI`; by default one with bytes as symbols.
        read: function of a prompt that gives a line; may raise `EOFError`.
        write: function that shows a line.

    Returns:
        Dict of tasks' names to what the person has earned.

    Raises:
        ValueError: if `env` is no `CommAI`.
    """
    env = CommAI(channel="byte") if env is None else env
    if not isinstance(env, CommAI):
        checks.refuse("env", "a CommAI", env)
    write(HELP)
    observation, _ = env.reset()
    person = _Person(env, read, write)
    try:
        while True:
            observation, reward, _, _, info = env.step(person.act(observation))
            if info["result"] is not None:
                # that a task is over is told whatever it paid; nobody hears the answer
                symbol = person.act(observation, info["result"] or -1.0)
                person.show(info, reward)
                observation, _, _, _, _ = env.step(symbol)
    except (EOFError, KeyboardInterrupt):
        return dict(env.earned)


class _Person(Listener):
    """Shows what is heard, and says what is typed."""

    def __init__(self, env, read, write):
        super().__init__(env.channel)
        self._env, self._read, self._write, self._waited, self._unlocked = env, read, write, 0, env.unlocked

    def show(self, info, reward):
        """What a task has brought."""
        self._write(f"[{info['task']}: reward {reward:g}, {sum(self._env.earned.values()):g} in all]")
        new = [name for name in info["unlocked"] if name not in self._unlocked]
        if new:
            self._write(f"[unlocked: {', '.join(new)}]")
            self._unlocked = info["unlocked"]

    def heard(self, byte):
        self._waited += 1
        super().heard(byte)
        if self._waited >= PATIENCE and self.quiet and not self._text.strip():
            self._turn()

    def told(self, text):
        self._write(f"teacher> {text}")
        self._turn()

    def rewarded(self, reward, byte):
        super().rewarded(reward, byte)
        if self.closing:
            self._write(f"teacher> {self.closing}")
        self._waited = 0

    def _turn(self):
        line = self._read("you> ").strip()
        while line.startswith(":"):
            self._obey(*line.split())
            line = self._read("you> ").strip()
        self.say(line)
        self._waited = 0

    def _obey(self, command, number="", *_):
        if command == ":quit":
            raise EOFError
        if command == ":tasks":
            self._write(f"unlocked: {', '.join(self._env.unlocked)}")
        elif command == ":off" and number.isdecimal() and int(number):
            self._env.time_off(int(number))
            self._write("time off comes after this task")
        else:
            self._write(HELP)


def main(arguments=None):
    """Read the options and play."""
    parser = argparse.ArgumentParser("python -m zoo.environments.commai", description="Play the learner of CommAI.")
    parser.add_argument("--tasks", nargs="+", default=["all"], help=f"tasks, or groups of them: {', '.join(GROUPS)}")
    parser.add_argument("--channel", choices=CHANNELS, default="byte")
    parser.add_argument("--schedule", choices=tuple(SCHEDULES), default="levels")
    parser.add_argument("--scrambled", action="store_true", help="in words that nobody knows")
    parser.add_argument("--seed", type=int)
    options = parser.parse_args(arguments)
    play(CommAI(options.tasks, options.channel, options.schedule, scrambled=options.scrambled, seed=options.seed))
