"""What methods share that answer: conversations to replies."""

from itertools import chain

import numpy as np

from zoo import arguments, text
from zoo.arguments import Amount, Count, Flag, Sentences, TextLists, checked
from zoo.families.encoder_decoder import ROWS, EncoderDecoder


class Responder(EncoderDecoder):
    """Word ids of a conversation and of a reply -> log-probability of the reply, `(batch,)` nats.

    Conversations are the `sources` of verbs: lists of turns, strings, of which the last is answered; or strings, with a line for each turn.
    Of the last `turns` turns the last `source_length` words are read; `zoo.text.TURN` stands between turns. One vocabulary serves both.
    """

    def _symbols(self):
        return [*self.vocabulary, text.TURN], self.vocabulary

    def _build_network(self, **readout):
        """LSTMs that read and write, with or without attention, by the constructor's arguments; and what is special to the readout."""
        looks = {} if self.attention is None else {"attention": self.attention}
        decoder = {"dropout": self.dropout, "readout": "tanh" if looks else None, **looks, **readout}
        self._build(self.embedding_size, self.units, self.num_layers, bool(looks), encoder={"dropout": self.dropout}, decoder=decoder)

    def _reading(self, words):
        return text.turn_vectorization(words, self.source_length, self.turns)

    def _source_texts(self, sources):
        return text.joined_turns(sources)

    def example_calls(self):
        """A small valid call of every verb."""
        found, conversations = super().example_calls(), [["the cat sat", "a mat"], ["a mat"]]
        found = {verb: {**call, "sources": conversations} if call and "sources" in call else call for verb, call in found.items()}
        respond = {"beams": 2, "length_power": 0.5, "n_best": 2, "unknown": True, "batch_size": 1}
        return {
            **found,
            "respond": {"conversations": conversations, **respond},
            "rank": {"conversations": conversations, "candidates": [["a cat", "the mat"], ["mat"]], "batch_size": 1},
            "chat": None,
        }

    @checked
    def respond(
        self,
        conversations: Sentences,
        beams: Count = 5,
        length_power: Amount = 1.0,
        n_best: Count | None = None,
        unknown: Flag = False,
        batch_size: Count = ROWS,
    ) -> list:
        """The most probable replies that a beam finds.

        Args:
            conversations: list of lists of turns, or of strings.
            beams: replies that are followed at once; 1 is greedy.
            length_power: they are ranked by log-probability over length to this power; 0 prefers short ones.
            n_best: give so many to each conversation, with scores.
            unknown: whether `<unknown>` may be written.
            batch_size: conversations at once.

        Returns:
            List of strings, words separated by spaces; with `n_best` for each conversation a list of pairs (string, log-probability), best
            first.

        Raises:
            ValueError: if a conversation has no word.
        """
        return self._written(conversations, beams, length_power, n_best, batch_size, unknown)

    @checked
    def rank(self, conversations: Sentences, candidates: TextLists, length_power: Amount = 0.0, batch_size: Count = ROWS) -> list:
        """Scores of given replies, such as the right one among others of other conversations.

        Args:
            conversations: list of lists of turns, or of strings.
            candidates: for each a list of replies.
            length_power: log-probabilities are divided by the number of words and end to this power.
            batch_size: pairs at once.

        Returns:
            For each conversation a float32 array, a score for each of its candidates, in nats; the highest is the best.

        Raises:
            ValueError: if there are not as many lists as conversations, or a text has no word.
        """
        return self._ranked(conversations, candidates, length_power, batch_size)

    def _ranked(self, conversations, candidates, length_power, batch_size, **options):
        if len(candidates) != len(conversations):
            arguments.refuse("candidates", f"{len(conversations)} lists, one for each of the conversations", candidates)
        sizes = [len(some) for some in candidates]
        flat = [one for one, size in zip(conversations, sizes) for _ in range(size)]
        replies = list(chain.from_iterable(candidates))
        scores = self._scores(flat, replies, batch_size, **options)
        lengths = 1 + np.count_nonzero(self._ids("candidates", replies, self.target_vectorization), axis=1)
        return np.split(scores / lengths**length_power, np.cumsum(sizes)[:-1])

    def _scores(self, conversations, replies, batch_size):
        """What replies are ranked by: log-probabilities."""
        return self.log_likelihood(conversations, replies, batch_size)

    def chat(self, **options) -> None:
        """Talk in the terminal, until an empty line; `options` are those of `respond`, and what was said before is known."""
        turns: list[str] = []
        while True:
            try:
                said = input("you: ").strip()
            except EOFError:
                said = ""
            if not said:
                return
            turns.append(said)
            turns.append(self.respond([turns], **options)[0])
            print(f"bot: {turns[-1]}")
