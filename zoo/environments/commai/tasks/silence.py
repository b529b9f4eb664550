"""Level 0: to be silent, and to say single symbols."""

from zoo.environments.commai import checks
from zoo.environments.commai.channels import SILENCE
from zoo.environments.commai.tasks.base import Task


class Silence(Task):
    """Say nothing at all, for a time that nobody tells.

    Args:
        shortest: least time, in bits.
        longest: most time, in bits.
        penalty: what is taken from a learner that says something.
        name: environments with several need more names.
    """

    def __init__(self, shortest=100, longest=1000, penalty=0.0, name="be_silent"):
        self.shortest, self.penalty = checks.count("shortest", shortest), checks.number("penalty", penalty)
        super().__init__(name, level=0, time=checks.count("longest", longest, self.shortest))

    def start(self, room):
        """Draw the time."""
        room.limit = room.bits(int(room.rng.integers(self.shortest, self.time + 1)))

    def heard(self, room, byte):
        """Any sound is wrong."""
        if byte != SILENCE:
            room.finish(-self.penalty, room.blame())

    def timeout(self, room):
        """It was right to be silent."""
        room.finish(1.0, room.praise())


class Nano(Task):
    """Say the symbols 0 and 1 that the teacher writes as digits, from the first symbol on that answers its silence.

    The first wrong symbol ends the task with -1, the last right one with 1. In the bit channel a silence begins with the symbol 0.

    Args:
        symbols: text of the digits 0 and 1.
        name: by default `nano_` and the symbols.
    """

    scrambles = False

    def __init__(self, symbols, name=None):
        if not isinstance(symbols, str) or not symbols or set(symbols) - set("01"):
            checks.refuse("symbols", "a text of the digits 0 and 1", symbols)
        self.symbols = symbols
        super().__init__(name or f"nano_{symbols}", level=0, time=16 * len(symbols))

    def start(self, room):
        """Write the symbols."""
        self.said = 0
        room.say(self.symbols)

    def symbol(self, room, symbol):
        """Compare a symbol."""
        if room.mouth.voiced:
            return
        if symbol != int(self.symbols[self.said]):
            room.finish(-1.0)
            return
        self.said += 1
        if self.said == len(self.symbols):
            room.finish(1.0)

    def timeout(self, room):
        """Without a word."""
        room.finish(0.0)


TASKS = (Silence(), *map(Nano, ("0", "1", "10", "11")))
