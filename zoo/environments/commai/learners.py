"""Learners that do not learn: silent, random, echoing, repeating; and the voice that those of scripts share.

A learner has `act(observation, reward)`, which takes a symbol and the reward that came with it, and gives the symbol to answer.
"""

import numpy as np

from zoo.environments.commai import checks
from zoo.environments.commai.channels import CHANNELS, SILENCE, Ear, Mouth


class Speaker:
    """Hears bytes and says texts over a channel of symbols; on its own it is silent.

    Args:
        channel: `"bit"` or `"byte"`.
    """

    def __init__(self, channel="bit"):
        self._ear, self._mouth = Ear(channel), Mouth(channel)

    def act(self, observation, reward=0.0):
        """The symbol that answers `observation`."""
        # what is being said began when the byte that is being heard began
        symbol = self._mouth.next()
        byte = self._ear.put(observation)
        if byte is not None:
            self._mouth.spoken.clear()
            # the byte with which a reward comes is the last one of its task
            if reward:
                self.rewarded(reward, byte)
            else:
                self.heard(byte)
        return symbol

    def say(self, text):
        """Say a text as soon as the present byte is over, after what is left to say."""
        self._mouth.add(text)

    @property
    def quiet(self):
        """Whether there is nothing left to say."""
        return self._mouth.idle

    def heard(self, byte):
        """A byte has been heard."""

    def rewarded(self, reward, byte):
        """A reward has come, and with it the last byte of a task."""


class SilentLearner(Speaker):
    """Says nothing."""


class RandomLearner:
    """Says any symbol.

    Args:
        channel: `"bit"` or `"byte"`.
        seed: of the symbols.
    """

    def __init__(self, channel="bit", seed=None):
        self._symbols = 2 if checks.one_of("channel", channel, CHANNELS) == "bit" else 256
        self._rng, self._drawn = np.random.default_rng(seed), []

    def act(self, observation, reward=0.0):
        """A random symbol."""
        if not self._drawn:
            self._drawn = self._rng.integers(self._symbols, size=4096).tolist()
        return self._drawn.pop()


class EchoLearner(Speaker):
    """Says each byte after it has heard it."""

    def heard(self, byte):
        """Say it."""
        self._mouth.add_bytes(bytes([byte]))


class Listener(Speaker):
    """Hears texts: what has been said until two silences come."""

    def __init__(self, channel="bit"):
        super().__init__(channel)
        self._text, self._silences, self.closing = bytearray(), 0, ""

    def heard(self, byte):
        """Gather a text."""
        self._text.append(byte)
        self._silences = self._silences + 1 if byte == SILENCE else 0
        if self._silences >= 2 and self.quiet:
            text = self._text.decode("utf-8", "replace").strip()
            self._text.clear()
            if text:
                self.told(text)

    def told(self, text):
        """A text has been heard."""

    def rewarded(self, reward, byte):
        """What has been said belongs to a task that is over; it stays as `closing`."""
        self._text.append(byte)
        self.closing = self._text.decode("utf-8", "replace").strip()
        self._text.clear()


class MemorizingLearner(Listener):
    """Says each text after it has heard it."""

    def told(self, text):
        """Say it."""
        self.say(text)
