"""Task 4: discussions of two people, where the reply is one of several that somebody gave, and the mixture of all four tasks."""

from collections.abc import Sequence

from zoo.datasets.conversations import chitchat
from zoo.datasets.film_dialogues.checks import Splits, divide, generator, refuse, sizes, whole
from zoo.datasets.film_dialogues.format import Dialogue, Exchange


def discussion(
    conversations: Sequence[Sequence[str]] | None = None, count: int = 1000, seed: int = 0, candidates: int = 100, longest: int = 4
) -> Splits:
    """Chats as a message and its reply, again and again, where others' replies are candidates too.

    The authors took threads of Reddit about films; these are chats of two people about anything. A long one gives several dialogues, one
    after another. No chat is in two parts.

    Args:
        conversations: lists of turns, those of two people in alternation; `None` for `zoo.datasets.chitchat`.
        count: dialogues in all, a tenth of them for validation and a tenth for test.
        seed: of all draws.
        candidates: replies to choose from for each message: the right one, at a random place, and others that were given in other
            conversations of the same part and not in this one.
        longest: exchanges of a dialogue at most.

    Returns:
        `Splits` of dialogues of `Exchange`s with one reply and `candidates`.

    Raises:
        ValueError: if the conversations do not give as many dialogues or candidates.
        ImportError: with the pip command, if chats are to be read and chitchat-dataset is not installed.
    """
    chats = [list(chat) for chat in (chitchat() if conversations is None else conversations) if len(chat) > 1]
    rng, numbers, longest = generator("discussion", seed), sizes(count), whole("longest", longest)
    parts = [_Chats(part, longest) for part in divide("conversations", chats, rng)]
    for part, number in zip(parts, numbers):
        if len(part.dialogues) < number:
            refuse("count", f"small enough for the conversations: a part of {number} dialogues has {len(part.dialogues)}", count)
    return Splits(*(part.draw(number, whole("candidates", candidates, 2), rng) for part, number in zip(parts, numbers)))


class _Chats:
    """The conversations of one part, cut into dialogues."""

    def __init__(self, conversations, longest):
        self.dialogues, self.said = [], []
        for place, turns in enumerate(conversations):
            pairs = list(zip(turns[::2], turns[1::2]))
            self.said.append({reply for _, reply in pairs})
            self.dialogues += [(place, pairs[i : i + longest]) for i in range(0, len(pairs), longest)]
        self.replies = sorted(set().union(*self.said))

    def draw(self, number, candidates, rng) -> list[Dialogue]:
        found = []
        for i in rng.permutation(len(self.dialogues))[:number]:
            place, pairs = self.dialogues[i]
            if len(self.replies) - len(self.said[place]) < candidates - 1:
                refuse("candidates", "at most as many as other conversations of the part give", candidates)
            found.append([Exchange(message, (reply,), None, self._choice(place, reply, candidates, rng)) for message, reply in pairs])
        return found

    def _choice(self, place, reply, candidates, rng):
        """Replies of other conversations, drawn without replacement, with the right one among them."""
        others: dict[str, None] = {}
        while len(others) < candidates - 1:
            drawn = (self.replies[i] for i in rng.integers(len(self.replies), size=candidates).tolist())
            others.update((text, None) for text in drawn if text not in self.said[place])
        chosen = list(others)[: candidates - 1]
        chosen.insert(rng.integers(candidates), reply)
        return tuple(chosen)
