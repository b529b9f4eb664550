"""Alignments of words: closed cases, a made-up language whose links are known, manual links of the New Testament if they are installed."""

import csv
import json
from collections import defaultdict
from importlib.metadata import PackageNotFoundError, distribution

import numpy as np
import pytest

from zoo.text import align, learn_dictionary, replace_unknown
from zoo.text.alignments import symmetrized

RNG = np.random.default_rng(0)


def error_rate(found, gold):
    """Alignment error rate (Och, Ney 2003) where all gold links are sure."""
    found = [set(map(tuple, links.tolist())) for links in found]
    hits = sum(len(one & other) for one, other in zip(found, gold))
    return 1 - 2 * hits / (sum(map(len, found)) + sum(map(len, gold)))


def test_symmetries_of_a_closed_case():
    # (2, 2) grows from (1, 1) at a corner; (3, 0) is final, as neither of its words has a link; (0, 1) has both
    forward, reverse = {(0, 0), (1, 1), (2, 2), (3, 0)}, {(0, 0), (1, 1), (0, 1), (4, 4)}
    assert symmetrized(forward, reverse, "intersection") == {(0, 0), (1, 1)}
    assert symmetrized(forward, reverse, "union") == forward | reverse
    assert symmetrized(forward, reverse) == {(0, 0), (1, 1), (2, 2), (4, 4)}
    assert symmetrized({(3, 3)}, {(1, 0)}) == {(3, 3), (1, 0)}
    assert symmetrized(set(), set()) == set()


def test_links_of_a_made_up_language_are_found():
    pytest.importorskip("eflomal")
    """Each word has one translation; neighbours change places half of the time."""
    words = RNG.zipf(1.4, size=(2000, 7)) % 60
    sources, targets, gold = [], [], []
    for row in words:
        order = np.arange(7)
        for i in range(0, 6, 2):
            if RNG.random() < 0.5:
                order[[i, i + 1]] = order[[i + 1, i]]
        sources.append(" ".join(f"s{word}" for word in row))
        targets.append(" ".join(f"t{row[i]}" for i in order))
        gold.append({(int(i), j) for j, i in enumerate(order)})
    for symmetry in ("intersection", "grow-diag-final-and"):
        links = align(sources, targets, symmetry)
        assert error_rate(links, gold) < 0.15
    found = learn_dictionary(sources, targets, links)
    assert np.mean([found.get(f"s{word}") == f"t{word}" for word in np.unique(words)]) > 0.9


def test_links_are_of_the_words_as_the_tokenizer_has_them():
    pytest.importorskip("eflomal")
    links = align(["Das Haus, klein.", "ein Haus"] * 50, ["The house, small.", "a house"] * 50)
    assert len(links) == 100 and links[0].dtype == "int32" and links[0].shape[1] == 2
    assert links[0].max() <= 4
    assert [len(row) for row in align([[], ["a"]], [["b"], []])] == [0, 0]


def test_the_dictionary_counts_links():
    links = [np.array([(0, 0), (1, 1)]), np.array([(0, 1)]), np.zeros((0, 2)), [(0, 0)]]
    sources, targets = ["a b", "a", "c", "a"], ["x y", "z x", "w", "v"]
    assert learn_dictionary(sources, targets, links) == {"a": "x", "b": "y"}
    assert learn_dictionary(sources, targets, links, n_best=2) == {"a": [("x", 2), ("v", 1)], "b": [("y", 1)]}
    assert learn_dictionary(sources, targets, links, min_count=2) == {"a": "x"}


def test_unknown_words_are_the_dictionarys_or_those_of_the_source():
    texts, sources = ["the <unknown> sees <unknown>", "<unknown> ok"], ["Anna sieht hunde", "gut"]
    assert replace_unknown(texts, sources, [[2, 0], [-1]], {"hunde": "dogs"}) == ["the dogs sees anna", "<unknown> ok"]
    assert replace_unknown(texts, sources, [[3, 1], [0]], {}) == ["the <unknown> sees sieht", "gut ok"]


@pytest.mark.parametrize(
    "call, name",
    [
        (lambda: align("a", ["b"]), "sources"),
        (lambda: align(["a"], ["b", "c"]), "targets"),
        (lambda: align(["a"], ["b"], "both"), "symmetry"),
        (lambda: learn_dictionary(["a"], ["b"], []), "links"),
        (lambda: learn_dictionary(["a"], ["b"], [[(0, 1)]]), "links"),
        (lambda: learn_dictionary(["a"], ["b"], [[(0, 0)]], n_best=0), "n_best"),
        (lambda: replace_unknown(["<unknown>"], ["a"], [[]], {}), "places"),
        (lambda: replace_unknown(["<unknown>"], ["a"], [], {}), "places"),
        (lambda: replace_unknown(["a"], [], [[]], {}), "sources"),
    ],
)
def test_wrong_arguments_are_refused_by_name(call, name):
    with pytest.raises(ValueError, match=f"`{name}`"):
        call()


def test_manual_links_of_the_new_testament():
    """Gospel of Matthew in Greek and English, links by people; the package bible-alignments asks for much else, and is not imported."""
    try:
        root = distribution("bible-alignments").locate_file("data")
    except PackageNotFoundError:
        pytest.skip("bible-alignments is not installed: pip install --no-deps bible-alignments")
    words, place, gold = {"source": defaultdict(list), "target": defaultdict(list)}, {}, defaultdict(set)
    for side, file, verse in (
        ("source", "sources/SBLGNT.tsv", lambda row: row["id"][1:9]),
        ("target", "eng/targets/BSB/nt_BSB.tsv", lambda row: row["source_verse"]),
    ):
        with open(root / file, encoding="utf-8") as lines:
            for row in csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE):
                place[row["id"]] = verse(row), len(words[side][verse(row)])
                words[side][verse(row)].append(row.get("lemma", row["text"]).replace(" ", "").lower())
    for record in json.loads((root / "eng/alignments/BSB/SBLGNT-BSB-manual.json").read_text(encoding="utf-8"))["records"]:
        for one in record["source"]:
            for other in record["target"]:
                if one in place and other in place and place[one][0] == place[other][0]:
                    gold[place[one][0]].add((place[one][1], place[other][1]))
    verses = [verse for verse in gold if verse.startswith("40")]
    links = align(*([words[side][verse] for verse in verses] for side in ("source", "target")))
    rate = error_rate(links, [gold[verse] for verse in verses])
    print(f"alignment error rate of {len(verses)} verses: {rate:.3f}")
    assert rate < 0.5
