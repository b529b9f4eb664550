"""Where a task takes place: the teacher's mouth, what the learner has said, the world, the clock, and the verbs of tasks."""

from zoo.environments.commai.channels import Ear, Mouth
from zoo.environments.commai.language import BLAME, LATE, PRAISE, Scrambler, choice
from zoo.environments.commai.world import World

STOP, QUESTION = ord("."), ord("?")
# sentences are looked for in so many of the last bytes
WINDOW = 300


class Room:
    """What a task sees and does.

    `rng` makes its chances, `world` is the grid, `time` counts the symbols since its start, `limit` is its maximal time in symbols, which a
    task may change; `words` are the bytes that the learner has said and that count, `said` all of them.

    Args:
        channel: `"bit"` or `"byte"`.
        rng: NumPy random generator.
        scrambled: whether the learner's language is one of pseudo-words.
    """

    def __init__(self, channel, rng, scrambled=False):
        self.rng, self.world, self.mouth, self._ear = rng, World(), Mouth(channel), Ear(channel)
        self.scrambler = Scrambler(rng) if scrambled else None

    # --- what tasks call ---

    def say(self, text, priority=0):
        """Let the teacher say `text` in place of what is left to say, unless that has a higher priority."""
        return not self.closing and self.mouth.say(self._hidden(text), priority)

    def add(self, text):
        """Let the teacher say `text` after what is left to say."""
        if not self.closing:
            self.mouth.add(self._hidden(text))

    def finish(self, reward, message="", add=False):
        """End the task: `reward` comes with the last symbol of `message`, or of a silence if there is none.

        Args:
            reward: a number.
            message: in place of what is left to say.
            add: say it after what is left to say instead.
        """
        if not self.closing:
            if add:
                self.add(f" {message}")
            elif message or self.mouth.voiced:
                self.mouth.say(self._hidden(message))
            self.closing, self.reward = True, reward

    def praise(self):
        """One of the ways to say that it was right."""
        return choice(self.rng, PRAISE)

    def blame(self):
        """One of the ways to say that it was wrong."""
        return choice(self.rng, BLAME)

    def late(self):
        """One of the ways to say that time is over."""
        return choice(self.rng, LATE)

    def bits(self, number):
        """So many bits, as a number of symbols."""
        return -(-number * self.mouth.width // 8)

    def ends_with(self, text):
        """Whether what the learner has said ends with `text`."""
        return self.words.endswith(text.encode())

    def sentence(self):
        """The learner's last sentence; it ends with the last character that has been said."""
        text = self.words[-WINDOW:].decode("utf-8", "replace")
        return text[max(text.rfind(mark, 0, -1) for mark in ".?!") + 1 :].strip()

    # --- what the environment calls ---

    def begin(self, task):
        """Clear the buffers and the clock, and start a task."""
        self.task, self.time, self.closing, self.reward = task, 0, False, 0.0
        self.limit = self.bits(task.time)
        self.said, self.words, self._word = bytearray(), bytearray(), bytearray()
        self._ear.clear()
        self.mouth.clear()
        self._hears_symbols, self._hears_itself = task.has("symbol"), task.has("spoken")
        task.start(self)

    def read(self, symbol):
        """The learner's answer to the symbol that was spoken last."""
        self.time += 1
        byte = self._ear.put(symbol)
        if not self.closing:
            if self._hears_symbols:
                self.task.symbol(self, symbol)
            if byte is not None:
                self._hear(byte)
            if self.time >= self.limit and not self.closing:
                self.task.timeout(self)
        elif byte is not None:
            self.said.append(byte)

    def speak(self):
        """The next symbol of teacher and world."""
        mouth = self.mouth
        symbol = mouth.next()
        if self._hears_itself and mouth.voiced and mouth.idle and not self.closing:
            self.task.spoken(self)
        return symbol

    @property
    def over(self):
        """Whether the task has ended and its closing message was spoken in full."""
        return self.closing and self.mouth.idle

    def _hear(self, byte):
        self.said.append(byte)
        # nobody listens to a learner who interrupts
        if self.mouth.voiced and not self.task.listens_always:
            return
        if self.scrambler and self.task.scrambles:
            self._reveal(byte)
        else:
            self.words.append(byte)
        if byte == STOP and self.task.in_world:
            answer = self.world.obey(self.sentence())
            if answer:
                self.say(answer)
                self.task.moved(self)
                return
        self.task.heard(self, byte)

    def _hidden(self, text):
        return self.scrambler.hide(text) if self.scrambler and self.task.scrambles else text

    def _reveal(self, byte):
        """A word is understood once it is over."""
        letter = chr(byte).isalpha() and byte < 128
        if letter:
            self._word.append(byte)
            return
        self.words += self.scrambler.reveal(self._word.decode()).encode()
        self._word.clear()
        self.words.append(byte)
