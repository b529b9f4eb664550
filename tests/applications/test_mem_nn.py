"""MemNN against the papers' equations in loops, its extensions, its verbs and its errors."""

import keras
import numpy as np
import pytest
from keras import ops

import zoo
from zoo.datasets import babi

WORDS = "football garden is john mary milk office the to went where".split()
STORY = ("Mary went to the garden.", "John went to the office.", "Mary went to the office.")
RNG = np.random.default_rng(0)


def small(**changes):
    keras.utils.set_random_seed(1)
    return zoo.applications.MemNN(**{"vocabulary": WORDS, "embedding_size": 6, "stddev": 0.6, **changes})


def data(model, count=6, sentences=5):
    """Stories of one to five sentences, padding behind, with supports among them."""
    story, question = np.zeros((count, sentences, 4), "int32"), np.zeros((count, 4), "int32")
    supports = np.full((count, model.hops), -1, "int32")
    for n in range(count):
        told = 1 + n % sentences
        story[n, :told, :3] = RNG.integers(1, len(WORDS) + 1, (told, 3))
        question[n, :2] = RNG.integers(1, len(WORDS) + 1, 2)
        known = min(1 + n % model.hops, told)
        supports[n, :known] = RNG.permutation(told)[:known]
    answer = np.zeros((count, model.answer_words), "int32")
    for row, length in zip(answer, RNG.integers(1, model.answer_words + 1, count)):
        row[:length] = RNG.integers(1, len(WORDS) + 1, length)
    return {"story": story, "question": question}, {"answer": answer, "supports": supports}


class Paper:
    """The equations of section 3, one question at a time."""

    def __init__(self, model):
        self.model = model
        self.finder, self.responder = ({v.name: ops.convert_to_numpy(v) for v in part.weights} for part in (model.finder, model.responder))
        self.ages = ops.convert_to_numpy(model.ages)
        self.runs = {tuple(WORDS.index(w) + 1 for w in run.split()): i for i, run in enumerate(model.ngrams or [], start=len(WORDS) + 1)}

    def bag(self, part, table, ids):
        """Sum over words, and over the runs that are known, each through the matrix of the place where it begins."""
        ids = [i for i in ids if i]
        runs = [(row, i) for run, row in self.runs.items() for i in range(len(ids)) if tuple(ids[i : i + len(run)]) == run]
        rows = [*zip(ids, range(len(ids))), *runs]
        return sum((part[table][row] @ self.map(part, i, len(ids)) for row, i in rows), np.zeros(6))

    def map(self, part, i, length):
        """Of place i, from 0 on."""
        return part["maps"][int(np.ceil(self.model.positions * (i + 1) / length)) - 1] if self.model.positions else np.eye(6)

    def embed(self, part, x):
        if self.model.nonlinear:
            return np.tanh(np.tanh(x) @ part["kernel"])
        return np.tanh(x) if self.model.positions else x

    def s(self, x, age, y, y_place, other, other_place):
        """s(x, y, y'); places count back from the latest sentence, `None` is "nothing", which has no age and is newer than all."""
        bits = np.zeros(3)
        bits[0] = y_place is not None and age > y_place
        bits[1] = other_place is not None and age > other_place
        bits[2] = other_place is None or (y_place is not None and y_place > other_place)
        return x @ (self.embed(self.finder, y) - self.embed(self.finder, other) + bits @ self.ages)

    def candidates(self, story):
        """Vectors and places of all sentences, the oldest first, and "nothing" behind them."""
        found = [(self.bag(self.finder, "candidate", row), i) for i, row in enumerate(story) if row.any()][::-1]
        return [*found, (self.finder["nothing"], None)] if self.model.adaptive else found

    def read(self, part, story, question, chosen):
        """The question, and each sentence by the vectors of the hop that found it."""
        rows = len(part["question"])
        by_hop = [{**part, "found": part["found"][hop * rows : (hop + 1) * rows]} for hop in range(len(chosen))]
        sentences = [self.bag(tables, "found", story[i]) for tables, i in zip(by_hop, chosen)]
        return self.bag(part, "question", question) + sum(sentences, np.zeros(6))

    def supports(self, story, question):
        chosen = []
        while len(chosen) < self.model.hops:
            x, age = self.embed(self.finder, self.read(self.finder, story, question, chosen)), chosen[-1] if chosen else -1
            winner, *others = self.candidates(story)
            for other in others:
                winner = winner if self.s(x, age, *winner, *other) > 0 else other
            if winner[1] is None:
                break
            chosen.append(winner[1])
        return chosen

    def words(self, x):
        """Scores of "nothing" and of all words."""
        words = (self.bag(self.responder, "candidate", [i]) for i in range(1, len(WORDS) + 1))
        vectors = [self.responder.get("nothing", np.zeros(6)), *words]
        return np.array([self.embed(self.responder, x) @ self.embed(self.responder, vector) for vector in vectors])

    def answer(self, story, question, chosen):
        x, found = self.read(self.responder, story, question, chosen), []
        while len(found) < self.model.answer_words:
            scores = self.words(x)
            word = int(np.argmax(scores[1:])) + 1 if not found else int(np.argmax(scores))
            if word == 0:
                break
            found.append(word)
            x = x + self.said(word)
        return found

    def loss(self, story, question, answer, supports):
        margin, total = self.model.margin, 0.0
        supports, answer = [int(i) for i in supports if i >= 0], [int(i) for i in answer if i]
        targets = supports + [None] * (self.model.adaptive and len(supports) < self.model.hops)
        for hop, right in enumerate(targets):
            x = self.embed(self.finder, self.read(self.finder, story, question, supports[:hop]))
            age = supports[hop - 1] if hop else -1
            some = self.candidates(story)
            place = next(i for i, (_, at) in enumerate(some) if at == right)
            for i, other in enumerate(some):
                if i > place:
                    total += max(0.0, margin - self.s(x, age, *some[place], *other))
                elif i < place:
                    total += max(0.0, margin + self.s(x, age, *other, *some[place]))
        x = self.read(self.responder, story, question, supports)
        for i, right in enumerate(answer + [0] * (len(answer) < self.model.answer_words)):
            scores = self.words(x)
            total += sum(max(0.0, margin - scores[right] + scores[w]) for w in range(0 if i else 1, len(scores)) if w != right)
            x = x + self.said(right)
        return total

    def said(self, word):
        return self.bag(self.responder, "said", [word]) if "said" in self.responder else np.zeros(6)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"adaptive": True, "hops": 3},
        {"nonlinear": True, "answer_words": 3},
        {"ngrams": ["mary went", "to the garden", "to the office", "the garden"], "adaptive": True, "nonlinear": True, "answer_words": 2},
        {"positions": 2, "adaptive": True},
        {"ngrams": ["mary went", "to the garden", "the garden"], "positions": 3, "nonlinear": True, "answer_words": 2},
    ],
)
def test_supports_answers_and_loss_are_those_of_the_equations(changes):
    model = small(**changes)
    for part in (model.finder, model.responder):
        if part.maps is not None:
            part.maps.assign_add(RNG.normal(0, 0.5, part.maps.shape))
    x, y = data(model)
    # runs that are known come up
    x["story"][0, 0] = [WORDS.index(word) + 1 for word in ("went", "to", "the", "garden")]
    paper, out = Paper(model), {name: ops.convert_to_numpy(part) for name, part in model(x).items()}
    losses = []
    for n in range(len(x["question"])):
        story, question = x["story"][n], x["question"][n]
        supports = paper.supports(story, question)
        assert [i for i in out["supports"][n] if i >= 0] == supports
        assert [i for i in out["answer"][n] if i] == paper.answer(story, question, supports)
        losses.append(paper.loss(story, question, y["answer"][n], y["supports"][n]))
    assert model.evaluate(x, y, verbose=0, return_dict=True)["loss"] == pytest.approx(np.mean(losses), rel=1e-4)


def test_weights_of_samples_weigh_their_losses():
    model = small()
    x, y = data(model)
    weights = RNG.uniform(0.1, 2.0, len(x["question"])).astype("float32")
    paper = Paper(model)
    wanted = np.mean([w * paper.loss(x["story"][n], x["question"][n], y["answer"][n], y["supports"][n]) for n, w in enumerate(weights)])
    assert model.evaluate(x, y, sample_weight=weights, verbose=0, return_dict=True)["loss"] == pytest.approx(wanted, rel=1e-4)


def test_metrics_count_whole_answers_and_all_supports():
    model = small(adaptive=True, answer_words=2, hops=2)
    x, _ = data(model)
    out = {name: ops.convert_to_numpy(part) for name, part in model(x).items()}
    wrong = {name: array.copy() for name, array in out.items()}
    wrong["answer"][:3, 0] = wrong["answer"][:3, 0] % len(WORDS) + 1
    found = model.evaluate(x, wrong, verbose=0, return_dict=True)
    assert found["answer_accuracy"] == pytest.approx(0.5) and found["supports_accuracy"] == pytest.approx(1.0)


def test_a_few_passes_find_where_people_are():
    examples = babi.examples(babi.simulate(1, 200, seed=1))
    keras.utils.set_random_seed(0)
    model = zoo.applications.MemNN(babi.vocabulary(examples), hops=1)
    model.fit(*model.encode(examples), epochs=20, verbose=0)
    test = babi.examples(babi.simulate(1, 100, seed=2))
    found = model.evaluate(*model.encode(test), verbose=0, return_dict=True)
    assert found["answer_accuracy"] > 0.95 and found["supports_accuracy"] > 0.95
    assert model.answer(list(test[0].story), test[0].question) == test[0].answer
    assert model.supports(list(test[0].story), test[0].question) == list(test[0].support)


def test_the_order_of_supports_tells():
    """The same two sentences, found in another order, have another answer."""
    told = ("Mary went to the office.", "Mary went to the garden.")
    examples = [babi.Example(told, "Where is Mary?", "garden", (0, 1)), babi.Example(told[::-1], "Where is Mary?", "office", (0, 1))]
    model = small()
    model.optimizer.learning_rate = 0.05
    model.fit(*model.encode(examples), epochs=150, verbose=0)
    assert [model.answer(list(one.story), one.question) for one in examples] == ["garden", "office"]


def test_lists_are_answered_word_by_word():
    examples = [babi.Example(("Mary is to the milk.", "Mary is to the football."), "Where is Mary?", "milk,football", (0, 1))]
    model = small(adaptive=True, answer_words=3, hops=3)
    x, y = model.encode(examples)
    assert y["supports"].tolist() == [[1, 0, -1]] and y["answer"].tolist() == [[WORDS.index("milk") + 1, WORDS.index("football") + 1, 0]]
    model.optimizer.learning_rate = 0.05
    model.fit(x, y, epochs=200, verbose=0)
    assert model.answer(list(examples[0].story), examples[0].question) == "milk,football"
    assert model.supports(list(examples[0].story), examples[0].question) == [0, 1]


def test_what_cannot_be_learned_is_refused():
    example = babi.Example(STORY, "Where is Mary?", "office")
    with pytest.raises(ValueError, match="`examples` must have supports"):
        small().encode([example])
    with pytest.raises(ValueError, match="kitchen"):
        small().encode([babi.Example(STORY, "Where is Mary?", "kitchen", (2,))])
    with pytest.raises(ValueError, match="`ngrams`"):
        small(ngrams=["mary flew"])
    model = small()
    x, y = data(model)
    y["supports"][0, 0] = 1
    with pytest.raises(ValueError, match="`supports` must be places"):
        model.fit(x, y)
    with pytest.raises(ValueError, match="unknown"):
        model.answer(STORY, "Where is Bill?")
    for support in ((3,), (-1,), (0, 0), (1.5,), "12"):
        with pytest.raises(ValueError, match="`examples`"):
            model.encode([babi.Example(STORY, "Where is Mary?", "office", support)])
    for changes in ({"vocabulary": ["Mary", "is"]}, {"vocabulary": None}, {"stddev": -1.0}, {"hops": 1.5}):
        with pytest.raises(ValueError, match=f"`{next(iter(changes))}`"):
            small(**changes)
    assert small(unknown="where").answer(STORY, "Where is Bill?") in WORDS


def test_babi_ngrams_are_the_runs_of_the_sentences():
    examples = [babi.Example(("Mary went to.",), "Where is she?", "to", (0,))]
    assert babi.ngrams(examples) == ["is she", "mary went", "mary went to", "went to", "where is", "where is she"]
    assert babi.vocabulary([babi.Example((), "Where?", "milk,to", ())], split=True) == ["milk", "to", "where"]
