"""How much of the words of a text are those of a reference: BLEU and chrF by sacrebleu, ROUGE by rouge-score; and how varied texts are."""

from itertools import chain

from zoo import arguments

_COMMAND = "pip install 'zoo-keras[text]'"


def bleu(texts, references, tokenize="13a", lowercase=False):
    """BLEU of a corpus (Papineni et al. 2002), by sacrebleu.

    Args:
        texts: list of strings, one a sentence.
        references: list of strings; or, for each sentence, a list of one or more, which may differ in number.
        tokenize: of sacrebleu: `"13a"` as in mteval; `"none"` for words that spaces separate already, `"intl"`, `"char"`.
        lowercase: whether capitals count as small letters.

    Returns:
        Number from 0 to 100.

    Raises:
        ValueError: if there are not as many references as texts.
        ImportError: if sacrebleu is not installed.
    """
    columns = _columns(texts, references)
    # it warns of words that spaces separate already, unless forced
    metric = _sacrebleu().BLEU(lowercase=lowercase, tokenize=tokenize, force=tokenize == "none")
    return float(metric.corpus_score(list(texts), columns).score)


def bleu_statistics(texts, references, tokenize="13a", lowercase=False):
    """What texts add to the BLEU of a corpus, so that it can be computed of any of them.

    Args:
        texts: as in `bleu`.
        references: as in `bleu`.
        tokenize: as in `bleu`.
        lowercase: as in `bleu`.

    Returns:
        List of tuples of 10 whole numbers: runs of one to four words that a reference has, all such runs, words, and words of the reference
        that is nearest in length. `bleu_of` their sum is BLEU.
    """
    metric = _sacrebleu().BLEU(lowercase=lowercase, tokenize=tokenize, force=tokenize == "none", effective_order=True)
    rows = [metric.sentence_score(text, wanted) for text, wanted in zip(texts, _lists(texts, references))]
    return [(*row.counts, *row.totals, row.sys_len, row.ref_len) for row in rows]


def bleu_of(statistics):
    """BLEU, 0 to 100, of a sum of `bleu_statistics`."""
    correct, total, (words, wanted) = ([int(number) for number in part] for part in (statistics[:4], statistics[4:8], statistics[8:]))
    return float(_sacrebleu().BLEU.compute_bleu(correct, total, words, wanted).score)


def chrf(texts, references, word_order=0):
    """chrF of a corpus (Popovic 2015): the F2 of runs of one to six characters, by sacrebleu; `word_order=2` is chrF++.

    Args:
        texts: as in `bleu`.
        references: as in `bleu`.
        word_order: longest runs of words that count beside those of characters.

    Returns:
        Number from 0 to 100.

    Raises:
        ValueError: if there are not as many references as texts.
        ImportError: if sacrebleu is not installed.
    """
    columns = _columns(texts, references)
    return float(_sacrebleu().CHRF(word_order=word_order).corpus_score(list(texts), columns).score)


def rouge(texts, references, kinds=("rouge1", "rouge2", "rougeL"), limit=None, stem=False):
    """ROUGE (Lin 2004), means over texts, by rouge-score; of several references the best counts.

    Args:
        texts: as in `bleu`.
        references: as in `bleu`.
        kinds: `"rouge1"` to `"rouge9"`, `"rougeL"`.
        limit: characters of each text that count, 75 in the task of headlines of DUC-2004, whose score is the recall; `None` for all.
        stem: whether words count as their stems.

    Returns:
        Dict kind -> dict of `precision`, `recall`, `f1`, each from 0 to 1.

    Raises:
        ValueError: if there are not as many references as texts.
        ImportError: if rouge-score is not installed.
    """
    try:
        from rouge_score.rouge_scorer import RougeScorer
    except ImportError as error:
        raise ImportError(f"ROUGE needs rouge-score: {_COMMAND}") from error
    scorer, lists = RougeScorer(list(kinds), use_stemmer=stem), _lists(texts, references)
    rows = [scorer.score_multi(wanted, text[:limit]) for text, wanted in zip(texts, lists)]
    names = {"precision": "precision", "recall": "recall", "f1": "fmeasure"}
    return {kind: {name: sum(getattr(row[kind], key) for row in rows) / len(rows) for name, key in names.items()} for kind in kinds}


def distinct_ngrams(texts, n=1):
    """How many different runs of `n` words texts have, over all words (distinct-n; Li et al. 2015, arXiv 1510.03055, section 5.3).

    Args:
        texts: list of strings, words separated by spaces.
        n: length of a run.

    Returns:
        Number from 0 to 1.
    """
    lines = [text.split() for text in arguments.texts("texts", texts)]
    runs = set(chain.from_iterable(zip(*(line[i:] for i in range(arguments.count("n", n)))) for line in lines))
    return len(runs) / max(1, sum(map(len, lines)))


def _lists(texts, references):
    """For each text a list of its references."""
    arguments.texts("texts", texts)
    found = [[one] if isinstance(one, str) else list(one) for one in arguments.listed("references", references)]
    if len(found) != len(texts) or not all(one and all(isinstance(text, str) for text in one) for one in found):
        arguments.refuse("references", f"a string, or a list of them, for each of the {len(texts)} texts", references)
    return found


def _columns(texts, references):
    """References as sacrebleu takes them: lists that go over all texts; `None` where a text has fewer."""
    found = _lists(texts, references)
    return [[one[i] if i < len(one) else None for one in found] for i in range(max(map(len, found)))]


def _sacrebleu():
    try:
        from sacrebleu import metrics
    except ImportError as error:
        raise ImportError(f"BLEU and chrF need sacrebleu: {_COMMAND}") from error
    return metrics
