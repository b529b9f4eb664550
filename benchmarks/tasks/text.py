"""Texts: classification, tagging, representation, generation, questions."""

from collections import Counter

import numpy as np
from keras import ops
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tasks import SEED, Task, majority
from zoo import applications, datasets, evidence, text


def _shuffled(*columns, seed=SEED):
    order = np.random.default_rng(seed).permutation(len(columns[0]))
    return [column[order] if isinstance(column, np.ndarray) else [column[i] for i in order] for column in columns]


def _unigram_nats(train, test, symbols):
    """Mean nats of the symbols of `test` above 0, by their frequencies in `train`."""
    counts = np.bincount(train[train > 0].ravel(), minlength=symbols) + 1.0
    return float(-np.log(counts / counts.sum())[test[test > 0].ravel()].mean())


def _unigram_perplexity(end, train, test):
    """Of the words of texts and their ends, which have the last id, by their frequencies."""
    ends = [np.concatenate([ids, np.full((len(ids), 1), end)], axis=1) for ids in (train, test)]
    return float(np.exp(_unigram_nats(*ends, end + 1)))


def _perplexity(model, x, trivial, name="perplexity", **options):
    return lambda: ("perplexity", float(model.evaluate(x, verbose=0, return_dict=True, **options)[name]), trivial, False)


def _accuracy(model, x, y, trivial):
    return lambda: ("accuracy", float(model.evaluate(x, y, verbose=0, return_dict=True)["accuracy"]), trivial, True)


def imdb(train=8000, test=1000):
    """Film reviews of IMDB (0 negative, 1 positive): texts, labels, held-out texts and labels."""
    (texts, labels), (test_texts, test_labels), _ = datasets.imdb_reviews(seed=SEED)
    return texts[:train], labels[:train], test_texts[:test], test_labels[:test]


def brown_groups():
    """Passages of the Brown corpus and their groups of genres, split by documents: texts, labels, held-out texts and labels."""
    passages, owners, genres = datasets.brown_passages(words=200)
    held_out, labels = owners % 5 == 0, datasets.BROWN_GROUPS[genres]
    lines = [" ".join(words) for words in passages]
    train = _shuffled([line for line, out in zip(lines, held_out) if not out], labels[~held_out])
    return (*train, [line for line, out in zip(lines, held_out) if out], labels[held_out])


def brown_sentences(genres=("fiction", "mystery", "romance", "adventure"), longest=40):
    """Sentences of fiction in lower case, training and held-out, split by documents."""
    parts = [], []
    for number, document in enumerate(datasets.brown(genres)):
        lines = [" ".join(words).lower() for words in document.sentences if 0 < len(words) < longest]
        parts[number % 10 == 0].extend(lines)
    return parts


def task_char_cnn():
    """Language of pieces of about a thousand characters, put together from sentences."""
    (texts, labels), (test_texts, test_labels), names = datasets.languages(words=None, seed=SEED)

    def pieces(texts, labels, number, seed):
        rng, by_class = np.random.default_rng(seed), [[t for t, y in zip(texts, labels) if y == k] for k in range(len(names))]
        classes = rng.integers(0, len(names), number)
        return [" ".join(rng.choice(by_class[k], 8)) for k in classes], classes.astype("int32")

    (texts, labels), (test_texts, test_labels) = pieces(texts, labels, 25600, 0), pieces(test_texts, test_labels, 256, 1)
    model = applications.CharCNN(len(names), names)
    x, x_test = model.encode(texts), model.encode(test_texts)
    return Task(
        model,
        {"x": x, "y": labels, "batch_size": 128, "epochs": 1},
        _accuracy(model, x_test, test_labels, majority(labels, test_labels)),
        {"classify": lambda: model.classify(test_texts[:32])},
    )


def task_sentence_cnn():
    """Valence of sentences of film reviews, batches of 50 as in the paper."""
    (texts, labels), (test_texts, test_labels) = datasets.movie_snippets(seed=SEED)
    model = applications.SentenceCNN(text.learn_vocabulary(texts))
    x, x_test = model.encode(texts), model.encode(test_texts)
    return Task(
        model,
        {"x": x, "y": labels, "batch_size": 50, "epochs": 4},
        _accuracy(model, x_test, test_labels, majority(labels, test_labels)),
        {"classify": lambda: model.classify(test_texts[:32]), "highlights": lambda: model.highlights(test_texts[:32])},
    )


def task_td_lstm():
    """Valence of one of two things that a text speaks of."""
    (texts, targets, labels), (test_texts, test_targets, test_labels) = datasets.movie_targets(seed=SEED)
    model = applications.TDLSTM(text.learn_vocabulary(texts), num_classes=2)
    x, x_test = model.encode(texts, targets), model.encode(test_texts, test_targets)
    return Task(
        model,
        {"x": x, "y": labels, "batch_size": 32, "epochs": 3},
        _accuracy(model, x_test, test_labels, majority(labels, test_labels)),
        {"classify": lambda: model.classify(test_texts[:32], test_targets[:32])},
    )


def task_blstm_tagger():
    """Parts of speech of web texts; the trivial tagger knows the most frequent tag of each word."""
    train, test = (datasets.english_web_treebank(part) for part in ("train", "dev"))
    words, tags = ([list(getattr(s, name)) for s in train] for name in ("words", "pos"))
    test_words, test_tags = ([list(getattr(s, name)) for s in test] for name in ("words", "pos"))
    lower = [[word.lower() for word in line] for line in words]
    model = applications.BLSTMTagger(text.learn_vocabulary(lower), list(datasets.POS_TAGS))
    seen = {}
    for word, tag in ((w, t) for line in zip(lower, tags) for w, t in zip(*line)):
        seen.setdefault(word, Counter())[tag] += 1
    guess = {word: counts.most_common(1)[0][0] for word, counts in seen.items()}
    pairs = [(w.lower(), t) for line in zip(test_words, test_tags) for w, t in zip(*line)]

    def score():
        found = [tag for line in model.tag(test_words) for tag in line]
        return (
            "accuracy of words",
            float(np.mean([a == b for a, (_, b) in zip(found, pairs)])),
            float(np.mean([guess.get(word, "PROPN") == tag for word, tag in pairs])),
            True,
        )

    return Task(
        model,
        {"x": model.encode(words), "y": model.encode_tags(tags), "batch_size": 32, "epochs": 1},
        score,
        {"tag": lambda: model.tag(test_words[:32])},
    )


def task_byte_to_span():
    """Parts of speech of web texts as spans of bytes; the trivial guess has the symbols' frequencies."""

    def read(part, size):
        sentences = datasets.english_web_treebank(part)[:size]
        spans = [text.spans_of_tags(s.words, [f"B-{tag}" for tag in s.pos]) for s in sentences]
        return [" ".join(s.words) for s in sentences], spans

    train, test = read("train", 6000), read("dev", 300)
    model = applications.ByteToSpan(list(datasets.POS_TAGS))
    x, x_test = model.encode(*train), model.encode(*test)
    trivial = _unigram_nats(x["symbols"], x_test["symbols"], model._symbols)
    return Task(
        model,
        {"x": x, "batch_size": 32, "epochs": 1},
        lambda: ("nats a symbol", float(model.evaluate(x_test, verbose=0, return_dict=True)["loss"]), trivial, False),
        {"find": lambda: model.find(test[0][:32])},
    )


def task_sa_lstm():
    """Sentiment of film reviews, from labels alone."""
    texts, labels, test_texts, test_labels = imdb(4000, 400)
    model = applications.SALSTM(text.learn_vocabulary(texts, max_words=20000))
    x, x_test = model.encode(texts), model.encode(test_texts)
    return Task(
        model,
        {"x": x, "y": labels, "batch_size": 32, "epochs": 1},
        _accuracy(model, x_test, test_labels, majority(labels, test_labels)),
        {"classify": lambda: model.classify(test_texts[:32])},
    )


def task_sentence_vae():
    """Perplexity of sentences of fiction; the trivial guess has the words' frequencies."""
    lines, test_lines = brown_sentences()
    model = applications.SentenceVAE(text.learn_vocabulary(lines, max_words=10000))
    x, x_test = model.encode(lines), model.encode(test_lines)
    x, x_test = x[x[:, 0] > 0], x_test[x_test[:, 0] > 0]
    trivial = _unigram_perplexity(model.end, x, x_test)
    return Task(
        model,
        # the weight of the divergence rises with the steps, over several epochs
        {"x": x, "batch_size": 32, "epochs": 20},
        _perplexity(model, x_test, trivial),
        {
            "sample": lambda: model.sample(8),
            "codes": lambda: model.codes(test_lines[:32]),
            "impute": lambda: model.impute(["he _ the door"]),
        },
    )


def task_rare_word_translator():
    """Perplexity of a symbol of English descriptions, given German ones; the trivial guess has the symbols' frequencies."""
    parts = [datasets.multi30k(part) for part in ("train", "val")]
    english, german = ([line for part in parts for line in part[side]] for side in (0, 1))
    links = text.align(german, english)
    held_out, size = len(parts[1][0]), len(parts[0][0])
    vocabularies = [text.learn_vocabulary(lines[:size], 3000) for lines in (german, english)]
    model = applications.RareWordTranslator(*vocabularies, text.learn_dictionary(german[:size], english[:size], links[:size]))
    x, x_test = (model.encode(german[rows], english[rows], links[rows]) for rows in (slice(size), slice(-held_out, None)))
    trivial = _unigram_perplexity(model.end, x["target"], x_test["target"])
    return Task(
        model,
        {"x": text.LengthBuckets(x, batch_size=model.default_batch_size), "epochs": 3},
        _perplexity(model, x_test, trivial),
        {"translate": lambda: model.translate(german[-32:])},
    )


def task_large_vocabulary_translator():
    """Perplexity of a word of German descriptions, given English ones, with all words; the trivial guess has the words' frequencies."""
    (english, german), (english_test, german_test) = datasets.multi30k("train"), datasets.multi30k("val")
    model = applications.LargeVocabularyTranslator(*(text.learn_vocabulary(lines) for lines in (english, german)))
    x, x_test = model.encode(english, german), model.encode(english_test, german_test)
    trivial = _unigram_perplexity(model.end, x["target"], x_test["target"])
    return Task(
        model,
        {"x": x, "epochs": 3},
        _perplexity(model, x_test, trivial, batch_size=8),
        {"translate": lambda: model.translate(english_test[:32])},
    )


def task_abs():
    """Perplexity of a word of docstrings' summaries, given first sentences; the trivial guess has the words' frequencies."""
    train, test = datasets.docstrings("train"), datasets.docstrings("validation")
    sides = [[[getattr(pair, side) for pair in part] for side in ("source", "summary")] for part in (train, test)]
    model = applications.ABS(*(text.learn_vocabulary(lines, min_count=5) for lines in sides[0]))
    x, x_test = (model.encode(*part) for part in sides)
    trivial = _unigram_perplexity(model.end, x["target"], x_test["target"])
    return Task(
        model,
        {"x": x, "epochs": 5},
        _perplexity(model, x_test, trivial),
        {"summarize": lambda: model.summarize(sides[1][0][:32])},
    )


def task_fusion_translator():
    """Perplexity of a word of English descriptions, given German ones; the trivial guess has the words' frequencies."""
    (english, german), (english_test, german_test) = datasets.multi30k("train"), datasets.multi30k("val")
    vocabularies = [text.learn_vocabulary(lines, 10000) for lines in (german, english)]
    model = applications.FusionTranslator(*vocabularies)
    x, x_test = model.encode(german, english), model.encode(german_test, english_test)
    trivial = _unigram_perplexity(model.end, x["target"], x_test["target"])
    return Task(
        model,
        {"x": x, "epochs": 5},
        _perplexity(model, x_test, trivial),
        {"translate": lambda: model.translate(german_test[:32])},
    )


def task_large_vocabulary_lm():
    """Perplexity of a word of sentences of the Brown corpus, of 10,000 words; the trivial guess has the words' frequencies."""
    train, test = brown_sentences(datasets.BROWN_GENRES)
    model = applications.LargeVocabularyLM(text.learn_vocabulary([line.split() for line in train], 10000))
    x, x_test = model.encode(_shuffled(train)[0]), model.encode(test)
    trivial = _unigram_perplexity(model.end, x, x_test)
    return Task(
        model,
        {"x": x, "epochs": 5},
        _perplexity(model, x_test, trivial),
        {"complete": lambda: model.complete(["the man was"] * 32, seed=0), "log_likelihood": lambda: model.log_likelihood(test[:32])},
    )


def task_character_rnn():
    """Perplexity of a character of English descriptions; the trivial guess has the characters' frequencies."""
    lines, lines_test = ([line.lower() for line in datasets.multi30k(part)[0]] for part in ("train", "val"))
    model = applications.CharacterRNN(text.learn_vocabulary([list(line) for line in lines], min_count=5))
    x, x_test = (text.trimmed(model.encode(part)) for part in (lines, lines_test))
    trivial = _unigram_perplexity(model.end, x, x_test)
    return Task(
        model,
        {"x": x, "epochs": 2},
        _perplexity(model, x_test, trivial),
        {"complete": lambda: model.complete(["a man "] * 32, seed=0), "log_likelihood": lambda: model.log_likelihood(lines_test[:32])},
    )


def task_larger_context_lm():
    """Perplexity of a word of the Brown corpus, of 10,000 words, given four sentences; the trivial guess has the words' frequencies."""
    documents = [[" ".join(words[:50]).lower() for words in one.sentences if words] for one in datasets.brown()]
    parts = [text.with_contexts(part) for part in ([one for i, one in enumerate(documents) if i % 10], documents[::10])]
    train, test = _shuffled(parts[0])[0], _shuffled(parts[1])[0][:1000]
    vocabulary = text.learn_vocabulary([sentence.split() for document in documents for sentence in document], 10000)
    model = applications.LargerContextLM(vocabulary)
    x, x_test = model.encode(train), model.encode(test)
    trivial = _unigram_perplexity(model.end, x["text"], x_test["text"])
    return Task(
        model,
        {"x": x, "epochs": 3},
        _perplexity(model, x_test, trivial),
        {"complete": lambda: model.complete(test[:32], seed=0), "log_likelihood": lambda: model.log_likelihood(test[:32])},
    )


def task_multi_task_seq2seq():
    """Perplexity of a word of German descriptions, given English ones, beside the tagging of English; the trivial guess has frequencies."""
    (english, german), (english_test, german_test) = datasets.multi30k("train"), datasets.multi30k("val")
    sentences = datasets.english_web_treebank()
    tagged = [" ".join(one.words) for one in sentences], [" ".join(one.pos) for one in sentences]
    words = {"english": text.learn_vocabulary(english + tagged[0], 5000), "german": text.learn_vocabulary(german, 5000)}
    writers = {"german": words["german"], "tags": [tag.lower() for tag in datasets.POS_TAGS]}
    tasks = {"translation": ("english", "german"), "tagging": ("english", "tags")}
    model = applications.MultiTaskSeq2Seq({"english": words["english"]}, writers, tasks, {"tagging": 0.1})
    x, x_test = model.encode("translation", english, german), model.encode("translation", english_test, german_test)
    trivial = _unigram_perplexity(len(words["german"]) + 2, x["target"], x_test["target"])
    return Task(
        model,
        {"x": model.mixed({"translation": (english, german), "tagging": tagged}), "epochs": 5},
        _perplexity(model, x_test, trivial, "perplexity_translation"),
        {"write": lambda: model.write("translation", english_test[:32])},
    )


def _chat_task(model, longest=30):
    """Perplexity of a word of replies of chats; the trivial guess has the words' frequencies."""
    parts = (("train", 60000), ("validation", 1000))
    (turns, replies), (turns_test, replies_test) = (evidence.chat_exchanges(part, n, model.turns, longest) for part, n in parts)
    x, x_test = model.encode(turns, replies), model.encode(turns_test, replies_test)
    trivial = _unigram_perplexity(model.end, x["target"], x_test["target"])
    return Task(
        model,
        {"x": text.LengthBuckets(x, batch_size=model.default_batch_size), "epochs": 2},
        _perplexity(model, x_test, trivial),
        {"respond": lambda: model.respond(turns_test[:32])},
    )


def _chat_words(most=10000):
    return text.learn_vocabulary([turn for chat in datasets.chitchat("train") for turn in chat], most)


def task_neural_conversational_model():
    """Chats, of 10,000 words."""
    return _chat_task(applications.NeuralConversationalModel(_chat_words()))


def task_mmi_conversational_model():
    """Chats, of 10,000 words; the network that answers alone."""
    return _chat_task(applications.MMIConversationalModel(_chat_words()))


def task_dynamic_context_model():
    """Chats, of 10,000 words."""
    return _chat_task(applications.DynamicContextModel(_chat_words()))


def task_attention_with_intention():
    """Chats, of 5,000 words; perplexity of the last reply of each row, the trivial guess has the words' frequencies."""
    model = applications.AttentionWithIntention(_chat_words(5000))
    x, x_test = (model.fit_rows(datasets.chitchat(part)) for part in ("train", "validation"))
    trivial = _unigram_perplexity(model.end, x["target"], x_test["target"])
    return Task(
        model,
        {"x": text.LengthBuckets(x, batch_size=model.default_batch_size, step=10), "epochs": 2},
        _perplexity(model, x_test, trivial),
        {"respond": lambda: model.respond(datasets.chitchat("test")[:32])},
    )


def task_skip_thoughts():
    """Nats of the words of the verses around a verse of the Bible; the trivial guess has the words' frequencies."""
    chapters = {}
    for number, verse in datasets.bible_verses().items():
        chapters.setdefault(number // 1000, []).append(verse)
    documents = list(chapters.values())
    train, test = [d for i, d in enumerate(documents) if i % 20], documents[::20]
    model = applications.SkipThoughts.from_documents(train)
    data, held_out = _rows(_triples(model, train), 16000), _rows(_triples(model, test), 500)
    symbols = len(model.vocabulary) + 3

    def words(triples):
        """Ids of both neighbours, each with its end if it was not cut."""
        ids = np.concatenate([triples["y"]["previous"], triples["y"]["next"]])
        ids = np.concatenate([ids, np.zeros((len(ids), 1), "int32")], axis=1)
        sizes = (ids > 0).sum(axis=1)
        inside = (sizes > 0) & (sizes < model.length)
        ids[np.flatnonzero(inside), sizes[inside]] = symbols - 1
        return ids

    trivial, number = _unigram_nats(words(data), words(held_out), symbols), (words(held_out) > 0).sum() / len(held_out["x"])
    sentences = [sentence for document in test for sentence in document][:32]

    def score():
        found = model.evaluate(held_out["x"], held_out["y"], batch_size=20, verbose=0, return_dict=True)
        return ("nats a word", float(found["loss"]) / float(number), trivial, False)

    return Task(
        model,
        {**data, "epochs": 1},
        score,
        {"vectors": lambda: model.vectors(sentences), "generate": lambda: model.generate(sentences[:4])},
    )


def _triples(model, documents):
    found = model.triples(documents)
    order = np.random.default_rng(SEED).permutation(len(found["x"]))
    return {"x": found["x"][order], "y": {name: ids[order] for name, ids in found["y"].items()}}


def _rows(triples, number):
    return {"x": triples["x"][:number], "y": {name: ids[:number] for name, ids in triples["y"].items()}}


def _document_task(cls):
    """Groups of genres of passages, read by a logistic regression from the vectors of new passages."""
    texts, labels, test_texts, test_labels = brown_groups()
    model = cls.from_texts(texts, min_count=2)

    def score():
        head = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
        head.fit(ops.convert_to_numpy(model.documents), labels)
        return ("accuracy of a probe", head.score(model.infer(test_texts), test_labels), majority(labels, test_labels), True)

    return Task(
        model,
        {"x": texts, "epochs": 5},
        score,
        {"infer": lambda: model.infer(test_texts[:32]), "most_similar": lambda: model.most_similar(test_texts[0])},
    )


def task_dv_ngram():
    """See `_document_task`."""
    return _document_task(applications.DVNgram)


def task_paragraph_vectors():
    """See `_document_task`."""
    return _document_task(applications.ParagraphVectors)


def task_mem_n2n():
    """Task 1 of bAbI: where is a person?"""
    train, test = (datasets.babi.examples(datasets.babi.simulate(1, 1000, seed)) for seed in (0, 1))
    words = datasets.babi.vocabulary([*train, *test])
    model = applications.MemN2N(words)
    (x, y), (x_test, y_test) = (datasets.babi.vectorise(part, words) for part in (train, test))
    example = test[0]
    return Task(
        model,
        {"x": x, "y": y, "batch_size": 32, "epochs": 40},
        _accuracy(model, x_test, y_test, majority(y, y_test)),
        {"answer": lambda: model.answer(example.story, example.question)},
    )


def task_mem_nn():
    """Task 2 of bAbI: where is an object that somebody carries?"""
    train, test = (datasets.babi.examples(datasets.babi.simulate(2, 1000, seed)) for seed in (0, 1))
    model = applications.MemNN(datasets.babi.vocabulary([*train, *test]))
    (x, y), (x_test, y_test) = model.encode(train), model.encode(test)
    example, trivial = test[0], majority(y["answer"][:, 0], y_test["answer"][:, 0])
    return Task(
        model,
        {"x": x, "y": y, "epochs": 20},
        lambda: ("accuracy", float(model.evaluate(x_test, y_test, verbose=0, return_dict=True)["answer_accuracy"]), trivial, True),
        {"answer": lambda: model.answer(example.story, example.question)},
    )


def task_dialog_memory_network():
    """Questions about invented films: a right reply first; the trivial guess is the reply that is right most often."""
    suite = datasets.film_dialogues
    knowledge = suite.invented_films(500)
    train, _, test = suite.qa(knowledge, 5000)
    retriever, names = suite.Retriever(knowledge), list(knowledge.entities)
    words = applications.dialog_memory_network.learn_words(train, names)
    model = applications.DialogMemoryNetwork(words, names)
    (x, y), (x_test, y_test) = model.encode(train, retriever), model.encode(test, retriever)
    most = np.bincount(y[y >= 0]).argmax()
    return Task(
        model,
        {"x": x, "y": y, "epochs": 8},
        lambda: (
            "hits_at_1",
            float(model.evaluate(x_test, y_test, verbose=0, return_dict=True)["hits_at_1"]),
            float(np.mean((y_test == most).any(axis=1))),
            True,
        ),
        {"rank": lambda: model.rank(test[0][0].message, knowledge=retriever)},
    )


def task_mem_n2n_lm():
    """The same class as a language model of the Brown corpus."""
    lines, test_lines = (text.tokenize(part) for part in brown_sentences())
    words = text.learn_vocabulary(lines, max_words=5000)
    known = set(words)
    stream, held_out = ([word if word in known else "." for line in part for word in line] for part in (lines, test_lines))
    model = applications.MemN2N(words, form="lm")
    (x, y), (x_test, y_test) = model.windows(stream[:100_000]), model.windows(held_out[:5000])
    trivial = float(np.exp(_unigram_nats(y, y_test, len(words) + 1)))
    return Task(
        model,
        {"x": x, "y": y, "batch_size": 128, "epochs": 10, "validation_data": (x_test, y_test)},
        _perplexity(model, x_test, trivial, y=y_test),
        {"next_word": lambda: model.next_word(held_out[:20])},
    )
