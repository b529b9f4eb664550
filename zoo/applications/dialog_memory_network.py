"""Dialogue memory network: ranks what could be said next, by what was said before and by facts from a knowledge base.

Paper: Dodge, Gane, Zhang, Bordes, Chopra, Miller, Szlam, Weston 2015, "Evaluating Prerequisite Qualities for Learning End-to-End Dialog
Systems", arXiv 1511.06931, section 3.1. Facts that share something with the message are the long-term memory, the utterances before it the
short-term one; a few hops of attention gather what the answer needs, and candidates are ranked by their match with what was gathered.

Shapes: units (words, and names as one) of a message `(batch, length)`, of the utterances before it, the latest first, `(batch, recent,
length)`, of facts `(batch, facts, 3)`, and of candidates, where these are given, `(batch, candidates, length)` -> scores
`(batch, entities + candidates)`, -1e9 where there is no candidate, and for entities where candidates are given.

Differences from the paper:
1. Which facts are looked up is the caller's: `zoo.datasets.film_dialogues.Retriever` does as the paper does, and weighs rare units more.
2. Loss is the cross-entropy of all candidates, with equal shares for all right replies; the paper draws one of them at a time.
3. Both memories share the words' vectors and a softmax; each has matrices of its own in every hop.
4. Without hops, the bag of all that was said is matched with candidates: supervised embeddings (section 3.2), by cross-entropy. With
   `tied`, as by default, what is read and what is ranked share their vectors; the paper has two for each word.
"""

from collections.abc import Sequence
from typing import Annotated

import keras
import numpy as np
from keras import ops

from zoo import arguments, text
from zoo.arguments import Count, Kind, Rows, Text, Texts, checked
from zoo.datasets.film_dialogues import RELATIONS, EntityMatcher, Exchange, Retriever, with_history
from zoo.metrics.hits_at import HitsAt
from zoo.model import Field, Model

PADDING, UNKNOWN, NONE = 0, 1, -1e9
# texts whose units are kept
_MOST_KNOWN = 200_000
History = Annotated[Sequence[str], Kind(arguments.texts, empty=True)]


class DialogMemoryNetwork(Model):
    """Memory network over facts and a dialogue (arXiv 1511.06931, section 3.1).

    Args:
        words: list of words in lower case; `learn_words` makes one. The relations of facts are words as well, and added.
        entities: list of names, each a unit and a candidate.
        hops: times that the memories are read; 0 leaves them out.
        embedding_size: of all vectors.
        facts: most facts in memory; 0 for no long-term memory.
        recent: most utterances before the message in memory; with 0 nothing that was said before plays a part, in finding facts neither.
        candidates: most replies that may be given with a message, to be ranked in place of all entities; 0 for none.
        length: units that are read of a text.
        max_replies: right replies of a message that are learned from; of more the first ones.
        tied: whether what is ranked has the vectors of what is read: then names that were never a reply in training can be found in facts.
        stddev: of the normal initial vectors.
        **kwargs: `name` and `dtype` of `zoo.Model`.

    Raises:
        ValueError: if an argument is none of these.
    """

    output_name = "scores"

    def __init__(
        self,
        words,
        entities,
        hops=2,
        embedding_size=50,
        facts=50,
        recent=4,
        candidates=0,
        length=32,
        max_replies=20,
        tied=True,
        stddev=0.1,
        **kwargs,
    ):
        super().__init__(**kwargs)
        for name, listed in (("words", words), ("entities", entities)):
            arguments.texts(name, listed)
            if len(set(listed)) < len(listed):
                arguments.refuse(name, "different texts", listed)
        counts = {"hops": hops, "facts": facts, "recent": recent, "candidates": candidates}
        for name, count in counts.items():
            arguments.count(name, count, 0)
        for name, count in (("embedding_size", embedding_size), ("length", length), ("max_replies", max_replies)):
            arguments.count(name, count)
        arguments.number("stddev", stddev, above=0)
        arguments.flag("tied", tied)
        self.words, self.entities, self.hops, self.embedding_size = words, entities, hops, embedding_size
        self.facts, self.recent, self.candidates = facts, recent, candidates
        self.length, self.max_replies, self.tied, self.stddev = length, max_replies, tied, stddev
        known = [*words, *(relation for relation in RELATIONS if relation not in set(words))]
        self._word_ids = {word: i for i, word in enumerate(known, start=2)}
        self._first_entity = 2 + len(known)
        self._entity_numbers = {name: i for i, name in enumerate(entities)}
        self._matcher, self._known_texts = EntityMatcher(entities), {}
        self._build_weights()
        self.compile()

    def _build_weights(self):
        """Vectors of what is read and of what is ranked; matrices of the hops; who spoke, and how long ago."""
        normal, size = keras.initializers.RandomNormal(stddev=self.stddev), self.embedding_size
        units = self._first_entity + len(self.entities)
        self.read_vectors = self.add_weight((units, size), normal, name="read_vectors")
        self.reply_vectors = self.read_vectors if self.tied else self.add_weight((units, size), normal, name="reply_vectors")
        reads = {"facts": self.facts, "recent": self.recent}
        self.matrices = {
            name: self.add_weight((self.hops, size, size), _identities, name=f"{name}_matrices")
            for name, count in reads.items()
            if self.hops and count
        }
        if self.recent:
            self.ages = self.add_weight((self.recent, size), normal, name="ages")

    # --- the network ---

    def call(self, x, training=False):
        """Scores of all entities, or of the candidates that are given."""
        state = self._gather(x)[0]
        names = self.reply_vectors[self._first_entity :]
        scores = ops.cast(ops.matmul(state, ops.transpose(names)), "float32")
        if not self.candidates:
            return scores
        given = ops.any(x["candidates"] != PADDING, axis=-1)
        texts = self._bag(self.reply_vectors, x["candidates"])
        others = ops.where(given, ops.cast(ops.sum(texts * state[:, None], axis=-1), "float32"), NONE)
        return ops.concatenate([ops.where(ops.any(given, axis=-1, keepdims=True), NONE, scores), others], axis=-1)

    def _gather(self, x):
        """What was gathered, `(batch, embedding_size)`, and what each hop looked at, `(batch, hops, recent + facts)`."""
        x = x if isinstance(x, dict) else {"message": x}
        state = self._bag(self.read_vectors, x["message"])
        if not self.hops:
            # what was said before is part of the bag
            return state + ops.sum(self._bag(self.read_vectors, x["recent"]), axis=1) if self.recent else state, state[:, :0]
        if not self.matrices:
            return state, state[:, :0]
        memories = {name: self._bag(self.read_vectors, x[name]) for name in self.matrices}
        if self.recent:
            memories["recent"] = memories["recent"] + ops.cast(self.ages, state.dtype)
        present = ops.concatenate([ops.any(x[name] != PADDING, axis=-1) for name in memories], axis=1)
        looked = []
        for hop in range(self.hops):
            scores = ops.concatenate([ops.einsum("bd,bmd->bm", state, memory) for memory in memories.values()], axis=1)
            # nothing remembered is nothing gathered
            weights = ops.softmax(ops.where(present, ops.cast(scores, "float32"), NONE), axis=-1) * ops.cast(present, "float32")
            looked.append(weights)
            start, gathered = 0, state
            for name, memory in memories.items():
                part = ops.cast(weights[:, start : start + memory.shape[1]], state.dtype)
                gathered = gathered + ops.matmul(ops.einsum("bm,bmd->bd", part, memory), ops.cast(self.matrices[name][hop], state.dtype))
                start += memory.shape[1]
            state = gathered
        return state, ops.stack(looked, axis=1)

    def _bag(self, vectors, ids):
        """Sums of the vectors of the units in the last axis."""
        # a table without a vector for padding is shorter than all that is taken from it
        table = vectors * ops.cast(ops.arange(vectors.shape[0]) != PADDING, vectors.dtype)[:, None]
        return ops.cast(ops.sum(ops.take(table, ids, axis=0), axis=-2), self.compute_dtype)

    # --- what it takes ---

    def input_fields(self):
        """Ids of a message, and of what is in memory and ranked as far as the model has that; `encode` makes them."""
        high = self._first_entity + len(self.entities) - 1
        shapes = {"message": (self.length,)}
        shapes |= {"recent": (self.recent, self.length)} if self.recent else {}
        shapes |= {"facts": (self.facts, 3)} if self.facts and self.hops else {}
        shapes |= {"candidates": (self.candidates, self.length)} if self.candidates else {}
        return [Field(name, shape, "int32", 0, high) for name, shape in shapes.items()]

    def target_fields(self):
        """Numbers of the right replies: of entities, or behind them of the candidates; -1 behind the last one."""
        return [Field("replies", (self.max_replies,), "int32", -1, len(self.entities) + self.candidates - 1)]

    def objective(self, x, y, y_pred, sample_weight, training):
        """Cross-entropy with equal shares for all right replies."""
        log_probabilities = ops.log_softmax(y_pred, axis=-1)
        right = ops.cast(y >= 0, "float32")
        chosen = ops.take_along_axis(log_probabilities, ops.maximum(ops.cast(y, "int32"), 0), axis=1)
        losses = -ops.sum(chosen * right, axis=1) / ops.maximum(ops.sum(right, axis=1), 1.0)
        return ops.mean(losses if sample_weight is None else ops.cast(sample_weight, losses.dtype) * losses)

    def default_optimizer(self):
        """Adam at 0.005 with clipped gradients."""
        return keras.optimizers.Adam(5e-3, global_clipnorm=10.0)

    def default_metrics(self):
        """The paper's hits: right replies among the first one, ten, a hundred."""
        return [HitsAt(k) for k in (1, 10, 100)]

    @classmethod
    def example_config(cls):
        """A few words and names, both memories, candidates."""
        return {
            "words": ["who", "made", "it", "i", "liked", "?"],
            "entities": ["Heat", "The Fog of War", "Errol Morris", "crime"],
            "hops": 3,
            "embedding_size": 6,
            "facts": 4,
            "recent": 2,
            "candidates": 3,
            "length": 5,
            "max_replies": 2,
            "tied": False,
            "stddev": 0.4,
        }

    def example_calls(self):
        """A small valid call of every verb."""
        asked = {"message": "who made Heat ?", "history": ["i liked it"], "knowledge": [("Heat", "has_genre", "crime")]}
        dialogue = [Exchange("who made it ?", ("Errol Morris",)), Exchange("who else ?", ("it",), candidates=("it", "i liked Heat"))]
        encode = {"dialogues": [dialogue[: 2 if self.candidates else 1]], "knowledge": asked["knowledge"]}
        rank = {**asked, "top": 2, **({"candidates": ["it", "i liked Heat"]} if self.candidates else {})}
        return {**super().example_calls(), "encode": encode, "rank": rank, "attention": asked}

    @classmethod
    def search_space(cls, hp):
        """Hops, size, memories and learning rate."""
        return {
            "hops": hp.Int("hops", 0, 3),
            "embedding_size": hp.Choice("embedding_size", [20, 50, 100]),
            "facts": hp.Choice("facts", [20, 50, 100]),
            "learning_rate": hp.Float("learning_rate", 1e-3, 1e-2, sampling="log"),
        }

    # --- verbs ---

    @checked
    def encode(self, dialogues: Rows, knowledge=None) -> tuple:
        """The arrays that `fit` takes, a row an exchange.

        Args:
            dialogues: lists of `zoo.datasets.film_dialogues.Exchange`.
            knowledge: a `zoo.datasets.film_dialogues.Retriever`, or a list of facts `(film, relation, object)` for all rows, or `None`.

        Returns:
            `x` and `y`, see `input_fields` and `target_fields`.

        Raises:
            ValueError: if no reply of an exchange is an entity, or one of its candidates where it has some; or there are too many of these.
        """
        messages, histories, listed, replies = [], [], [], []
        for dialogue in dialogues:
            for said, exchange in with_history(arguments.listed("dialogues", dialogue, "lists of exchanges")):
                self._check(exchange)
                messages.append(exchange.message)
                histories.append(said)
                listed.append(exchange.candidates)
                replies.append(self._numbers(exchange))
        return self._arrays(messages, histories, listed, _known(knowledge)), np.stack(replies)

    @checked
    def rank(
        self, message: Text, history: History = (), knowledge=None, candidates: Texts | None = None, top: Count = 10
    ) -> list[tuple[str, float]]:
        """What could be said to a message, the best first.

        Args:
            message: a text.
            history: what was said before, by turns, the latest last.
            knowledge: as in `encode`.
            candidates: replies to rank, at most as many as the model takes; `None` ranks all entities.
            top: number of replies.

        Returns:
            List of (reply, score).

        Raises:
            ValueError: if there are too many candidates.
        """
        if candidates is not None and not self.candidates:
            arguments.refuse("candidates", "None, as the model was made without `candidates`", candidates)
        x = self._arrays([message], [list(history)], [candidates or ()], _known(knowledge))
        scores = ops.convert_to_numpy(self._graph("scores", lambda x: self(x, training=False))(x))[0]
        names = self.entities if candidates is None else candidates
        scores = scores[: len(self.entities)] if candidates is None else scores[len(self.entities) :][: len(names)]
        return [(names[i], float(scores[i])) for i in np.argsort(-scores, kind="stable")[:top]]

    @checked
    def attention(self, message: Text, history: History = (), knowledge=None) -> list[list[tuple[str, float]]]:
        """What each hop looks at.

        Args:
            message: a text.
            history: as in `rank`.
            knowledge: as in `encode`.

        Returns:
            For each hop a list of (utterance or fact, weight), those with the largest weights first; no list without hops.
        """
        memories, knowledge = [], _known(knowledge)
        if self.recent and self.hops:
            memories += (list(reversed(history)) + [""] * self.recent)[: self.recent]
        if self.facts and self.hops:
            memories += [" ".join(fact) for fact in self._facts_for(message, list(history), knowledge)]
        x = self._arrays([message], [list(history)], [()], knowledge)
        weights = ops.convert_to_numpy(self._graph("attention", lambda x: self._gather(x)[1])(x))[0]
        found = [[(memory, float(weight)) for memory, weight in zip(memories, hop) if memory] for hop in weights]
        return [sorted(hop, key=lambda pair: -pair[1]) for hop in found]

    def signatures(self):
        """`serve`: scores; `attention`: weights `(batch, hops, recent + facts)`."""
        attention = (lambda x: {"attention": self._gather(x)[1]}, self.input_fields())
        return {**super().signatures(), **({"attention": attention} if self.hops and self.matrices else {})}

    # --- texts to units ---

    def _check(self, exchange):
        if not isinstance(exchange, Exchange):
            arguments.refuse("dialogues", "lists of zoo.datasets.film_dialogues.Exchange", exchange)
        if not isinstance(exchange.message, str):
            arguments.refuse("dialogues", "such that messages are strings", exchange.message)
        for name, texts in (("replies", exchange.replies), ("candidates", exchange.candidates)):
            if isinstance(texts, str) or not all(isinstance(text, str) for text in texts):
                arguments.refuse("dialogues", f"such that {name} are tuples of strings", texts)
        if len(set(exchange.candidates)) < len(exchange.candidates):
            arguments.refuse("dialogues", "such that candidates are different", exchange.candidates)
        if exchange.candidates and not self.candidates:
            arguments.refuse("dialogues", "without candidates, as the model was made without `candidates`", exchange.candidates)

    def _numbers(self, exchange):
        """Numbers of the right replies of an exchange, -1 behind them."""
        known = self._entity_numbers
        if exchange.candidates:
            known = {reply: len(self.entities) + i for i, reply in enumerate(exchange.candidates)}
        found = [known[reply] for reply in exchange.replies if reply in known][: self.max_replies]
        if not found:
            arguments.refuse("dialogues", "such that replies are entities, or among the candidates", exchange.replies)
        return np.array([*found, *[-1] * (self.max_replies - len(found))], "int32")

    def _arrays(self, messages, histories, listed, knowledge):
        rows = len(messages)
        x = {field.name: np.zeros((rows, *field.shape), "int32") for field in self.input_fields()}
        for i, (message, history, candidates) in enumerate(zip(messages, histories, listed)):
            self._write(x["message"][i : i + 1], [message])
            if "recent" in x:
                self._write(x["recent"][i], history[::-1])
            if "facts" in x:
                facts = [self._fact_ids(fact) for fact in self._facts_for(message, history, knowledge)]
                x["facts"][i, : len(facts)] = np.reshape(facts, (-1, 3))
            if len(candidates) > self.candidates:
                arguments.refuse("candidates", f"at most {self.candidates}, which the model was made for", candidates)
            if "candidates" in x:
                self._write(x["candidates"][i], candidates)
        # one field is an array
        return x if len(x) > 1 else x["message"]

    def _write(self, rows, texts):
        """Ids of texts into the rows of an array."""
        for row, line in zip(rows, texts):
            ids = self._ids(line)[: self.length]
            # a text without units is something, too
            row[: max(len(ids), 1)] = ids or [UNKNOWN]

    def _ids(self, line):
        if line not in self._known_texts:
            if len(self._known_texts) >= _MOST_KNOWN:
                self._known_texts.clear()
            units = self._matcher.split(line)
            ids = [self._first_entity + self._entity_numbers[unit] if named else self._word_ids.get(unit, UNKNOWN) for unit, named in units]
            self._known_texts[line] = ids
        return self._known_texts[line]

    def _fact_ids(self, fact):
        film, relation, thing = fact
        if relation not in self._word_ids:
            arguments.refuse("knowledge", "facts whose relations are words of the model, see `learn_words(..., knowledge=facts)`", fact)
        names = (self._entity_numbers.get(name) for name in (film, thing))
        first, last = (UNKNOWN if number is None else self._first_entity + number for number in names)
        return first, self._word_ids[relation], last

    def _facts_for(self, message, history, knowledge):
        """Facts for a message, then for what was said before it, the latest first."""
        if knowledge is None or not self.facts:
            return []
        if not isinstance(knowledge, Retriever):
            return knowledge[: self.facts]
        places: dict[int, None] = {}
        for said in [message, *(history[::-1] if self.recent else ())]:
            if len(places) >= self.facts:
                break
            places |= dict.fromkeys(knowledge.positions(said, self.facts).tolist())
        return [knowledge.knowledge.triples[place] for place in list(places)[: self.facts]]


def learn_words(dialogues: Sequence, entities: Sequence[str], most: int | None = 10_000, knowledge: Sequence = ()) -> list[str]:
    """The words of dialogues that are in no name of an entity, the most frequent first, for `DialogMemoryNetwork`.

    Args:
        dialogues: lists of `zoo.datasets.film_dialogues.Exchange`.
        entities: list of names.
        most: keep at most so many; `None` keeps all.
        knowledge: facts `(film, relation, object)` whose relations are words as well.
    """
    matcher, texts = EntityMatcher(entities), []
    for exchange in (exchange for dialogue in dialogues for exchange in dialogue):
        texts += [exchange.message, *(exchange.candidates or ())]
    words = text.learn_vocabulary([[unit for unit, named in matcher.split(line) if not named] for line in texts], most)
    return list(dict.fromkeys([*words, *(relation for _, relation, _ in knowledge)]))


def _identities(shape, dtype=None):
    """An identity for each hop."""
    return ops.broadcast_to(ops.eye(shape[-1], dtype=dtype), shape)


def _known(knowledge):
    """`knowledge`, checked: a `Retriever`, a list of facts, or `None`."""
    if knowledge is None or isinstance(knowledge, Retriever):
        return knowledge
    facts = arguments.listed("knowledge", knowledge, "a Retriever, or a list of facts", empty=True)
    for fact in facts:
        if not isinstance(fact, (tuple, list)) or len(fact) != 3 or not all(isinstance(part, str) for part in fact):
            arguments.refuse("knowledge", "a Retriever, or a list of facts `(film, relation, object)`, three strings each", fact)
    # JSON has no tuples
    return [tuple(fact) for fact in facts]
