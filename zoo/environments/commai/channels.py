"""Symbols that go over a channel: bits, or bytes, of UTF-8. A `Mouth` turns text into symbols, an `Ear` turns symbols into bytes.

Silence is a space. In the bit channel the first bit of a byte is the most significant one. Both sides start at the same time, hence whoever
speaks whole bytes keeps in step with the other side for ever.
"""

from zoo.environments.commai import checks

CHANNELS = ("bit", "byte")
SILENCE = 32
BITS = tuple(tuple(byte >> place & 1 for place in range(7, -1, -1)) for byte in range(256))


def symbols_of(data, channel):
    """Bytes as a list of symbols.

    Args:
        data: a text, or bytes.
        channel: `"bit"` or `"byte"`.

    Returns:
        List of whole numbers below 2 or 256.
    """
    data = data.encode() if isinstance(data, str) else bytes(data)
    if checks.one_of("channel", channel, CHANNELS) == "byte":
        return list(data)
    return [bit for byte in data for bit in BITS[byte]]


def text_of(symbols, channel):
    """The text of a list of symbols; an unfinished byte at its end is left out, what is no UTF-8 becomes U+FFFD."""
    ear = Ear(channel)
    found = (ear.put(symbol) for symbol in symbols)
    return bytes(byte for byte in found if byte is not None).decode("utf-8", "replace")


class Ear:
    """Gathers symbols to bytes.

    Args:
        channel: `"bit"` or `"byte"`.
    """

    def __init__(self, channel):
        self._shift = 1 if checks.one_of("channel", channel, CHANNELS) == "bit" else 8
        self.clear()

    def clear(self):
        """Forget the beginning of a byte."""
        # the 1 in front of the bits tells when there are eight of them
        self._bits = 1

    def put(self, symbol):
        """Take a symbol; returns the byte that it completes, or `None`."""
        bits = self._bits << self._shift | symbol
        if bits < 256:
            self._bits = bits
            return None
        self._bits = 1
        return bits & 255


class Mouth:
    """Speaks texts symbol by symbol, and silence where there is none.

    A text that is replaced is broken off after the character that is being spoken, so that the rest can still be read.

    Args:
        channel: `"bit"` or `"byte"`.
    """

    def __init__(self, channel):
        self.channel = checks.one_of("channel", channel, CHANNELS)
        self.width = 8 if channel == "bit" else 1
        self._silence = symbols_of(" ", channel)
        self.clear()

    def clear(self):
        """Drop what is left to say, and what has been said."""
        self._load(b"", voice=True)
        self.spoken = bytearray()
        self.voiced = False

    @property
    def idle(self):
        """Whether all has been said, to the last symbol."""
        return self._at == self._end

    def say(self, text, priority=0):
        """Say `text` in place of what is left to say, unless that has a higher priority; returns whether it will be said."""
        if self._voice and not self.idle and priority < self._priority:
            return False
        self._replace(text.encode(), priority)
        return True

    def _replace(self, data, priority):
        rest, at, was_voice = self._unfinished(), self._at % self.width, self._voice
        self._load(rest + data, voice=True)
        # the end of a silence is still silence
        self._at, self._voice_from, self._priority = at, 0 if was_voice else len(rest) * self.width, priority

    def add(self, text):
        """Say `text` after what is left to say."""
        self.add_bytes(text.encode())

    def add_bytes(self, data):
        """Say bytes, which need not be a text, after what is left to say."""
        if self._voice and not self.idle:
            self._data += data
            self._symbols += symbols_of(data, self.channel)
            self._end = len(self._symbols)
        else:
            self._replace(data, 0)

    def next(self):
        """The next symbol. `voiced` tells whether it belongs to a text, `spoken` holds the bytes that are complete."""
        at = self._at
        if at == self._end:
            self._load(b" ", voice=False)
            at = 0
        self._at = at + 1
        self.voiced = self._voice and at >= self._voice_from
        if self._at % self.width == 0:
            self.spoken.append(self._data[at // self.width])
        return self._symbols[at]

    def _unfinished(self):
        """The bytes of the character in which the mouth is; empty between two characters."""
        first = last = self._at // self.width
        last += bool(self._at % self.width)
        while last < len(self._data) and self._data[last] & 0xC0 == 0x80:
            last += 1
        return self._data[first:last]

    def _load(self, data, voice):
        self._data, self._voice, self._voice_from, self._priority = bytearray(data), voice, 0, 0
        self._symbols = symbols_of(data, self.channel) if voice else self._silence
        self._at, self._end = 0, len(self._symbols)
