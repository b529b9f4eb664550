"""Memory networks with strong supervision: find the sentences that support an answer, one after the other, then answer from them.

Papers: Weston, Bordes, Chopra, Rush, van Merriënboer, Joulin, Mikolov 2015, "Towards AI-Complete Question Answering: A Set of Prerequisite
Toy Tasks", arXiv 1502.05698, which has the bAbI tasks and three extensions of Weston, Chopra, Bordes 2014, "Memory Networks", arXiv
1410.3916. Nothing is attended to softly: each hop takes the one sentence that fits best, and adds it to the question.

Sentences are bags of words, of which each has several vectors: one in a question, one in a sentence that may be found, and one in the
sentence that was found first, second and so on. A match of x with y is the product of the sums of their vectors. Of two candidates the
first is preferred if

    s(x, y, y') = E(x) . (E(y) - E(y') + T t(x, y, y')) > 0,

where the three bits t say whether x is older than y, x is older than y', and y is older than y' (section 3.5 of the first paper on memory
networks). The winner is found in one pass through the story, in which y is the winner so far. Answers are words that match question and
found sentences best, by vectors of their own. The extensions:

- `adaptive`: one more candidate, "nothing", ends the hops, so that their number depends on the question; as one more word ends the answer
  where `answer_words` allows several.
- `ngrams`: runs of words are counted like words, which tells "north of the garden" from "the garden north of".
- `nonlinear`: E(x) = tanh(W tanh(x)) in place of x.
- `positions`: the multilinear map. The place of a word in its sentence falls into one of so many bins, place i of l into ceil(bins i / l);
  its vector goes through the matrix of this bin, and tanh through the sum, so that the order of words counts.

Shapes: word ids `story` `(batch, sentences, words)`, the latest sentence first, and `question` `(batch, words)`; 0 is padding -> `answer`
`(batch, answer_words)`, ids of words, and `supports` `(batch, hops)`, how many sentences back each is, -1 where there is none.

Differences from the papers:
1. Each step sees all wrong candidates of a batch of questions, where the authors draw one for one question.
2. A pair is learned in the order in which the pass compares it, the older sentence first. The authors' loss has both orders; but of two
   sentences that differ in age alone, only one order has a bit that is set.
3. Words of the first sentence that was found have other vectors than those of the second one. The authors have one vector for all of them;
   then an answer could not depend on which was first, as in "Mary went to the kitchen. Then she went to the garden."
4. Adam in place of gradient descent.
5. Sizes and margin are from memory.
"""

import keras
import numpy as np
from keras import layers, ops

from zoo import arguments
from zoo.arguments import Rows, Text, Texts, checked
from zoo.datasets import babi
from zoo.model import Field, Model, is_stream

# a score that no candidate reaches
_NEVER = -1e9
# lengths of arrays are multiples of these, so that few of them differ
_SENTENCES, _WORDS = 16, 4


class MemNN(Model):
    """Memory network that learns from supporting sentences (Weston et al. 2015, arXiv 1502.05698).

    Args:
        vocabulary: list of words in lower case, and of whole answers; `zoo.datasets.babi.vocabulary` makes one.
        hops: sentences that are found for a question; at most so many if `adaptive`.
        embedding_size: length of all vectors.
        adaptive: whether "nothing" may win, which ends the hops.
        answer_words: how many words an answer has at most; with 1 it is one entry of the vocabulary, commas or not.
        ngrams: list of runs of two or more words of the vocabulary with spaces between them, counted like words where they occur;
            `zoo.datasets.babi.ngrams` makes one. `None` for words alone.
        nonlinear: whether matches go through two layers of tanh.
        positions: bins of places of words, each with a matrix of its own; `None` for bags, in which places do not count.
        margin: by which the right candidate shall win.
        stddev: of the normal initial weights.
        unknown: word of the vocabulary that is read in place of one that is not in it; `None` refuses such words.
        **kwargs: of `zoo.Model`.

    Raises:
        ValueError: if an argument is not one of these.
    """

    default_batch_size = 32

    def __init__(
        self,
        vocabulary,
        hops=2,
        embedding_size=50,
        adaptive=False,
        answer_words=1,
        ngrams=None,
        nonlinear=False,
        positions=None,
        margin=0.1,
        stddev=0.1,
        unknown=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        words = arguments.texts("vocabulary", vocabulary)
        if len(words) < 2 or len(set(words)) != len(words) or not all(word and word == word.lower() for word in words):
            arguments.refuse("vocabulary", "a list of two or more different words in lower case", vocabulary)
        if unknown is not None and unknown not in vocabulary:
            raise ValueError(f"`unknown` must be a word of the vocabulary, or None. Received: {unknown!r}")
        self.hops, self.embedding_size = arguments.count("hops", hops), arguments.count("embedding_size", embedding_size)
        self.adaptive, self.nonlinear = arguments.flag("adaptive", adaptive), arguments.flag("nonlinear", nonlinear)
        self.answer_words, self.margin = arguments.count("answer_words", answer_words), arguments.number("margin", margin, above=0)
        self.stddev = arguments.number("stddev", stddev, above=0)
        self.positions = positions if positions is None else arguments.count("positions", positions)
        self.vocabulary, self.ngrams, self.unknown = vocabulary, ngrams, unknown
        self._ids = {word: number for number, word in enumerate(vocabulary, start=1)}
        self._runs = _runs_of(ngrams or [], self._ids)
        rows = len(vocabulary) + len(ngrams or []) + 1
        sizes = {"rows": rows, "size": self.embedding_size, "spans": 1 + len(self._runs)}
        sizes |= {"nonlinear": nonlinear, "positions": self.positions, "stddev": stddev}
        self.finder = _Matcher(**sizes, found=self.hops - 1, nothing=adaptive, name="finder")
        self.responder = _Matcher(**sizes, found=self.hops, said=self.answer_words > 1, nothing=self.answer_words > 1, name="responder")
        self.ages = self.add_weight((3, self.embedding_size), keras.initializers.RandomNormal(stddev=stddev), name="ages")
        self.compile()

    # --- the network ---

    def call(self, x, training=False):
        """The sentences that support the answer, and the answer."""
        parts = self._parts(x)
        chosen, heard, age = [], 0.0, -ops.ones_like(x["question"][:, :1], "int32")
        going = True
        for hop in range(self.hops):
            heard = heard + (self.finder.found(_picked(parts["story"], chosen[-1]), hop - 1) if hop else 0.0)
            best = self._best(parts, self.finder.embed(parts["question"] + heard), age)
            going = going & (best >= 0)
            chosen.append(ops.where(going, best, -1))
            age = chosen[-1][:, None]
        supports = ops.stack(chosen, axis=1)
        return {"answer": self._answered(parts, supports), "supports": supports}

    def _parts(self, x):
        """Words and runs of the sentences, bags of the question for both matchers and of candidates, and which sentences there are."""
        question, story = self._features(x["question"]), self._features(x["story"])
        return {
            "story": story,
            "question": self.finder.bag("question", question),
            "candidates": self.finder.embed(self.finder.bag("candidate", story)),
            "asked": self.responder.bag("question", question),
            "present": ops.any(ops.cast(x["story"], "int32") != 0, axis=-1),
        }

    def _features(self, ids):
        """Ids of words `(..., words)` and, behind them, of the known runs that begin with each."""
        ids = ops.cast(ids, "int32")
        found, state = [ids], ids
        for i, (table, rows) in enumerate(self._runs, start=1):
            # a run that is known so far, and the word behind it, to the longer run; 0 where there is none
            ahead = ops.pad(ids, [(0, 0)] * (len(ids.shape) - 1) + [(0, i)])[..., i:]
            state = ops.take(table.reshape(-1), state * table.shape[1] + ahead)
            found.append(ops.take(rows, state))
        return ops.concatenate(found, axis=-1)

    def _scores(self, parts, x, age):
        """Parts of s: of candidates as y, the older one, and as y', the newer, `(batch, sentences)`; of "nothing" as y' `(batch, 1)`.

        The last one only if there is such a candidate.
        """
        match = ops.einsum("bd,bmd->bm", x, parts["candidates"])
        bits = ops.matmul(x, ops.transpose(self.ages))
        older = ops.cast(age > ops.arange(ops.shape(match)[1]), match.dtype)
        first, second = match + bits[:, :1] * older + bits[:, 2:], match - bits[:, 1:2] * older
        if not self.adaptive:
            return first, second
        return first, second, ops.matmul(x, ops.transpose(self.finder.embed(self.finder.nothing[None])))

    def _best(self, parts, x, age):
        """The winner of one pass from the oldest sentence to the latest, at whose end is "nothing"; -1 if that or no sentence wins."""
        first, second, *nothing = (ops.stop_gradient(part) for part in self._scores(parts, x, age))
        present, count = parts["present"], ops.shape(first)[1]

        def against(i, state):
            place, score = state
            at = count - 1 - i
            wins = ops.take(present, at, axis=1) & (ops.take(second, at, axis=1) >= score)
            return ops.where(wins, at, place), ops.where(wins, ops.take(first, at, axis=1), score)

        start = ops.full_like(x[:, 0], -1, "int32"), ops.full_like(x[:, 0], _NEVER)
        place, score = ops.fori_loop(0, count, against, start)
        return ops.where(nothing[0][:, 0] >= score, -1, place) if nothing else place

    def _answered(self, parts, supports):
        """The words that fit question and sentences best, until "nothing" does."""
        x, found, going = self._informed(parts, supports), [], True
        for _ in range(self.answer_words):
            scores = self._word_scores(x)
            # the first word is one
            word = ops.argmax(scores[:, 1:], axis=-1) + 1 if not found else ops.argmax(scores, axis=-1)
            word = ops.where(going, ops.cast(word, "int32"), 0)
            going = word > 0
            found.append(word)
            x = x + (self.responder.bag("said", word[:, None]) if self.answer_words > 1 else 0.0)
        return ops.stack(found, axis=1)

    def _informed(self, parts, supports):
        """The question and the sentences that were found, as the responder reads them, `(batch, size)`."""
        return parts["asked"] + sum(self.responder.found(_picked(parts["story"], supports[:, i]), i) for i in range(self.hops))

    def _word_scores(self, x):
        """Scores of "nothing" and of the words of the vocabulary, `(batch, words + 1)`."""
        words = self.responder.words(len(self.vocabulary))
        # answers of one word never are "nothing"
        nothing = self.responder.nothing[None] if self.answer_words > 1 else ops.zeros_like(words[:1])
        return ops.matmul(self.responder.embed(x), ops.transpose(self.responder.embed(ops.concatenate([nothing, words], axis=0))))

    # --- learning ---

    def input_fields(self):
        """`story` with the latest sentence first, and `question`; `encode` makes them."""
        high = len(self.vocabulary)
        return [Field("story", (None, None), "int32", 0, high, (5, 4)), Field("question", (None,), "int32", 0, high, (4,))]

    def target_fields(self):
        """Ids of the words of the answer, and how many sentences back its supports are, 0 the latest, in their order; -1 for no more."""
        low = 1 if self.answer_words == 1 else 0
        return [
            Field("answer", (self.answer_words,), "int32", low, len(self.vocabulary)),
            Field("supports", (self.hops,), "int32", -1, example=()),
        ]

    def check(self, x, y=None):
        """Each support must be a sentence of its story, and those of a row stand in front."""
        super().check(x, y)
        if y is None or is_stream(x):
            return
        supports, told = np.asarray(y["supports"]), (np.asarray(x["story"]) != 0).any(axis=-1).sum(axis=1)
        if (supports >= told[:, None]).any():
            row = int(np.argmax((supports >= told[:, None]).any(axis=1)))
            raise ValueError(f"`supports` must be places in `story`, below {told[row]} in row {row}. Received: {supports[row].tolist()}")
        if ((supports[:, 1:] >= 0) & (supports[:, :-1] < 0)).any():
            raise ValueError("`supports` must have -1 behind all places alone. Received: one in front of a place")

    def default_optimizer(self):
        """Adam."""
        return keras.optimizers.Adam(5e-3)

    def default_metrics(self):
        """How often the whole answer is right, and how often all supports are."""
        return {
            "answer": [keras.metrics.MeanMetricWrapper(_same_rows, name="accuracy")],
            "supports": [keras.metrics.MeanMetricWrapper(_same_rows if self.adaptive else _same_known, name="accuracy")],
        }

    def objective(self, x, y, y_pred, sample_weight, training):
        """Margin losses of every hop, given the right sentences before it, and of every word (equations 6 to 8 of memory networks)."""
        parts, supports = self._parts(x), ops.cast(y["supports"], "int32")
        finding = sum(self._hop_loss(parts, supports, hop) for hop in range(self.hops))
        answer = ops.cast(y["answer"], "int32")
        read, answering = self._informed(parts, supports), 0.0
        for i in range(self.answer_words):
            scores = ops.cast(self._word_scores(read), "float32")
            right = ops.take_along_axis(scores, answer[:, i : i + 1], axis=1)
            wrong = ops.arange(scores.shape[1]) != answer[:, i : i + 1]
            # the first word is one; "nothing" is right once, behind the last word
            wrong, counted = (wrong, ops.cast(answer[:, i - 1] > 0, "float32")) if i else (wrong & (ops.arange(scores.shape[1]) > 0), 1.0)
            loss = ops.relu(self.margin - right + scores)
            answering = answering + counted * ops.sum(ops.where(wrong, loss, 0.0), axis=1)
            read = read + (self.responder.bag("said", answer[:, i : i + 1]) if self.answer_words > 1 else 0.0)
        of_supports, of_answer = (1, 1) if sample_weight is None else (sample_weight["supports"], sample_weight["answer"])
        return ops.mean(finding * of_supports + answering * of_answer)

    def _hop_loss(self, parts, supports, hop):
        """Of a hop, `(batch,)`: the right sentence shall win against every other one."""
        before, right = supports[:, :hop], supports[:, hop]
        x = parts["question"] + sum(self.finder.found(_picked(parts["story"], before[:, i]), i) for i in range(hop))
        age = before[:, hop - 1 :] if hop else -ops.ones_like(supports[:, :1])
        scores = self._scores(parts, self.finder.embed(x), age)
        first, second, *nothing = (ops.cast(part, "float32") for part in scores)
        ages, place, there = ops.arange(ops.shape(first)[1]), ops.maximum(right, 0)[:, None], right >= 0
        ours, theirs = (ops.take_along_axis(part, place, axis=1) for part in (first, second))
        ahead = ops.where(place > ages, ours - second, theirs - first)
        loss = ops.sum(ops.where(parts["present"] & (ages != place), ops.relu(self.margin - ahead), 0.0), axis=1)
        if not self.adaptive:
            return ops.where(there, loss, 0.0)
        (nothing,) = nothing
        loss = loss + ops.relu(self.margin - (ours - nothing))[:, 0]
        # "nothing" is right once, behind the last support
        ends = ops.sum(ops.where(parts["present"], ops.relu(self.margin - (nothing - first)), 0.0), axis=1)
        is_end = before[:, hop - 1] >= 0 if hop else True
        return ops.where(there, loss, ops.where(is_end, ends, 0.0))

    # --- verbs ---

    @checked
    def encode(self, examples: Rows) -> tuple:
        """The arrays that `fit` takes.

        Args:
            examples: list of `zoo.datasets.babi.Example`: story, question, answer and the places of its supports in the story.

        Returns:
            `x` and `y`, dicts of int32 arrays; see `input_fields` and `target_fields`. Supports beyond `hops` are left out.

        Raises:
            ValueError: if an example has no supports or one that is no place in its story, a word or an answer is unknown, or an answer has
                too many words.
        """
        for example in examples:
            if not isinstance(example, babi.Example):
                arguments.refuse("examples", "a list of zoo.datasets.babi.Example", example)
            if not example.support and not self.adaptive:
                raise ValueError(f"`examples` must have supports, which this model learns from. Received: {example.question!r} without any")
            _check(example)
        y = {
            "answer": np.array([self._answer_ids(example.answer) for example in examples], "int32"),
            "supports": np.full((len(examples), self.hops), -1, "int32"),
        }
        for row, example in zip(y["supports"], examples):
            # how many sentences back
            back = [len(example.story) - 1 - place for place in example.support][: self.hops]
            row[: len(back)] = back
        return self._arrays([example.story for example in examples], [example.question for example in examples]), y

    @checked
    def answer(self, story: Texts, question: Text) -> str:
        """Answer a question about a story.

        Args:
            story: list of sentences, oldest first.
            question: a sentence.

        Returns:
            The answer; several words have commas between them.

        Raises:
            ValueError: if a word is not in the vocabulary, without `unknown`.
        """
        ids = ops.convert_to_numpy(self._replied(story, question)["answer"])[0]
        return ",".join(self.vocabulary[i - 1] for i in ids if i)

    @checked
    def supports(self, story: Texts, question: Text) -> list:
        """The sentences that support the answer.

        Args:
            story: list of sentences, oldest first.
            question: a sentence.

        Returns:
            List of places in the story, in the order in which they are found.

        Raises:
            ValueError: as `answer`.
        """
        back = ops.convert_to_numpy(self._replied(story, question)["supports"])[0]
        return [len(story) - 1 - int(i) for i in back if i >= 0]

    def _replied(self, story, question):
        return self._graph("answer", lambda x: self(x, training=False))(self._arrays([story], [question]))

    def _arrays(self, stories, questions):
        """Stories and questions as ids, padded."""
        sentences = {sentence for story in stories for sentence in story} | set(questions)
        words = _rounded(max(len(babi.tokenize(sentence)) for sentence in sentences), _WORDS)
        rows = {sentence: babi.encode_sentence(sentence, self._ids, words, self.unknown) for sentence in sentences}
        story = np.zeros((len(stories), _rounded(max(map(len, stories)), _SENTENCES), words), "int32")
        for array, told in zip(story, stories):
            if told:
                array[: len(told)] = [rows[sentence] for sentence in reversed(told)]
        return {"story": story, "question": np.array([rows[question] for question in questions], "int32")}

    def _answer_ids(self, answer):
        words = [answer.lower()] if self.answer_words == 1 else [word.strip() for word in answer.lower().split(",")]
        unknown = [word for word in words if word not in self._ids]
        if unknown or len(words) > self.answer_words:
            expected = f"at most {self.answer_words} words of the vocabulary"
            raise ValueError(f"`examples` must have answers of {expected}. Received: {answer!r}, of which {unknown} unknown")
        return [self._ids[word] for word in words] + [0] * (self.answer_words - len(words))

    @classmethod
    def example_config(cls):
        """A network of a few words, with the options that are not the default."""
        return {
            "vocabulary": ["garden", "is", "mary", "office", "to", "went", "where"],
            "hops": 3,
            "embedding_size": 6,
            "adaptive": True,
            "answer_words": 2,
            "ngrams": ["mary went", "to garden", "mary went to"],
            "nonlinear": True,
            "positions": 2,
            "margin": 0.2,
            "stddev": 0.3,
            "unknown": "where",
        }

    def example_data(self, batch_size=2):
        """Arrays for `fit`; of the supports of a row -1 comes last."""
        data = super().example_data(batch_size)
        data["y"]["supports"] = -np.sort(-data["y"]["supports"], axis=1)
        return data

    def example_calls(self):
        """A small valid call of every verb."""
        words = [word for word in self.vocabulary if babi.tokenize(word) == [word]][:4]
        texts = {"story": [" ".join(words[:2]), words[2]], "question": words[0]}
        example = babi.Example(tuple(texts["story"]), texts["question"], words[3], (1, 0))
        return {**super().example_calls(), "answer": texts, "supports": texts, "encode": {"examples": [example]}}

    @classmethod
    def search_space(cls, hp):
        """Size, margin, non-linearity, positions and learning rate."""
        return {
            "embedding_size": hp.Choice("embedding_size", [20, 50, 100]),
            "margin": hp.Float("margin", 0.03, 1.0, sampling="log"),
            "nonlinear": hp.Boolean("nonlinear"),
            "positions": 3 if hp.Boolean("positions") else None,
            "learning_rate": hp.Float("learning_rate", 1e-3, 2e-2, sampling="log"),
        }


class _Matcher(layers.Layer):
    """Vectors of words in questions, in candidates, in sentences by the hop that found them, and in an answer; what sums of them become."""

    def __init__(self, rows, size, nonlinear, stddev, found, nothing, said=False, positions=None, spans=1, **kwargs):
        super().__init__(**kwargs)
        # `spans` rows of ids come one behind the other: those of words, and those of the runs that begin with them
        normal, self.rows, self.positions, self.spans = keras.initializers.RandomNormal(stddev=stddev), rows, positions, spans
        sizes = {"question": rows, "candidate": rows, "found": found * rows, "said": rows * said}
        self.tables = {name: self.add_weight((count, size), normal, name=name) for name, count in sizes.items() if count}
        self.nothing = self.add_weight((size,), normal, name="nothing") if nothing else None
        # places count for nothing at first
        self.maps = self.add_weight((positions, size, size), _identities, name="maps") if positions else None
        self.dense = layers.Dense(size, "tanh", use_bias=False, name="dense") if nonlinear else None
        if self.dense:
            self.dense.build((None, size))
        self.built = True

    def bag(self, name, ids, first=0):
        """Sums of the vectors of ids `(..., words)`, counted from row `first` of a table; 0 has none. Places count with `positions`."""
        vectors = ops.take(self.tables[name], ids + first, axis=0)
        vectors = vectors * ops.cast(ids > 0, vectors.dtype)[..., None]
        if self.maps is None:
            return ops.sum(vectors, axis=-2)
        in_bins = ops.einsum("...np,...nd->...pd", ops.cast(self._bins(ids), vectors.dtype), vectors)
        return ops.einsum("...pd,pde->...e", in_bins, ops.cast(self.maps, vectors.dtype))

    def _bins(self, ids):
        """The bin of each id's place among the words of its sentence, `(..., words, positions)` of 0 and 1."""
        column, words = ops.arange(ops.shape(ids)[-1], dtype="int32"), ops.maximum(1, ops.shape(ids)[-1] // self.spans)
        place = column % words
        length = ops.sum(ops.cast((ids > 0) & (column < words), "int32"), axis=-1, keepdims=True)
        # rounded up, less one, as bins are counted from 0
        number = (place * self.positions + self.positions + length - 1) // ops.maximum(length, 1) - 1
        return ops.one_hot(ops.minimum(number, self.positions - 1), self.positions)

    def words(self, count):
        """Bags of the first words as candidates, each alone, `(count, size)`."""
        rows = self.tables["candidate"][1 : count + 1]
        return rows if self.maps is None else ops.matmul(rows, ops.cast(self.maps[-1], rows.dtype))

    def found(self, ids, hop):
        """The bag of a sentence that a hop found."""
        return self.bag("found", ids, hop * self.rows)

    def embed(self, x):
        """E of sums of vectors `(..., size)`."""
        # a loss is computed outside of `call`, where vectors are float32 whatever the layer computes in
        if self.dense:
            return ops.cast(self.dense(ops.tanh(x)), x.dtype)
        return x if self.maps is None else ops.tanh(x)


def _identities(shape, dtype=None):
    return ops.tile(ops.eye(shape[1], dtype=dtype)[None], (shape[0], 1, 1))


def _check(example):
    """An example's texts, and its supports, which are places in its story."""
    arguments.texts("examples", example.story, empty=True)
    for part in (example.question, example.answer):
        arguments.text("examples", part)
    places = arguments.listed("examples", example.support, "supports as a list of places", empty=True)
    for place in places:
        if isinstance(place, bool) or not isinstance(place, (int, np.integer)) or not 0 <= place < len(example.story):
            expected = f"such that supports are places in the story, from 0 to {len(example.story) - 1}"
            arguments.refuse("examples", expected, f"{places} of the question {example.question!r}")
    if len(set(places)) < len(places):
        arguments.refuse("examples", "such that supports are different places", f"{places} of the question {example.question!r}")


def _runs_of(ngrams, ids):
    """For every length above 1: a table from what a run begins with and its next word to the longer beginning; rows of whole runs."""
    runs = [tuple(ids.get(word, 0) for word in run.split(" ")) for run in arguments.texts("ngrams", ngrams, empty=True)]
    if any(len(run) < 2 or 0 in run for run in runs) or len(set(runs)) != len(runs):
        arguments.refuse("ngrams", "a list of different runs of two or more words of the vocabulary", ngrams)
    known, found = {(number,): number for number in ids.values()}, []
    for length in range(2, max(map(len, runs), default=1) + 1):
        starts = sorted({run[:length] for run in runs if len(run) >= length})
        table, rows = np.zeros((len(known) + 1, len(ids) + 1), "int32"), np.zeros(len(starts) + 1, "int32")
        for state, start in enumerate(starts, start=1):
            table[known[start[:-1]], start[-1]] = state
        known = {start: state for state, start in enumerate(starts, start=1)}
        for row, run in enumerate(runs, start=len(ids) + 1):
            if len(run) == length:
                rows[known[run]] = row
        found.append((table, rows))
    return found


def _picked(story, places):
    """Ids `(batch, words)` of one sentence of each story, zeros where the place is -1."""
    rows = ops.take_along_axis(story, ops.maximum(places, 0)[:, None, None], axis=1)[:, 0]
    return ops.where(places[:, None] >= 0, rows, 0)


def _same_rows(y_true, y_pred):
    return ops.cast(ops.all(ops.cast(y_true, "int32") == ops.cast(y_pred, "int32"), axis=-1), "float32")


def _same_known(y_true, y_pred):
    """Rows whose supports are all found; what is found beyond them does not count."""
    y_true = ops.cast(y_true, "int32")
    return ops.cast(ops.all((y_true == ops.cast(y_pred, "int32")) | (y_true < 0), axis=-1), "float32")


def _rounded(number, step):
    return max(step, -(-number // step) * step)
