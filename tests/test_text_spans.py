"""Bytes, windows and spans against brute force and against seqeval."""

import numpy as np
import pytest
from keras import ops
from seqeval.metrics.sequence_labeling import get_entities

from zoo import text

# characters of one to four bytes
CHARACTERS = list("ab .") + ["é", "ğ", "字", "€", "😀", "ı"]


def random_text(rng, characters):
    return "".join(rng.choice(CHARACTERS, characters))


def test_windows_hold_whole_characters_and_every_short_run():
    rng = np.random.default_rng(0)
    for length, stride in [(8, None), (13, None), (30, None), (12, 1), (12, 5), (9, 9)]:
        one = random_text(rng, 70)
        data = one.encode()
        windows = text.byte_windows(data, length, stride)
        assert windows[0][0] == 0 and windows[-1][1] == len(data)
        assert all(end - begin <= length and (begin, end) != after for (begin, end), after in zip(windows, windows[1:]))
        for begin, end in windows:
            data[begin:end].decode()
        places = text.character_places(data)
        assert [data[a:b].decode() for a, b in zip(places, places[1:])] == list(one)
        for i, start in enumerate(places):
            for end in places[i + 1 :]:
                if end - start <= length - (stride or length // 2):
                    assert any(a <= start and end <= b for a, b in windows), (start, end, windows)
    assert text.byte_windows(b"", 8) == [(0, 0)]
    # a text that fits is one window
    assert text.byte_windows(b"12345678", 8) == [(0, 8)]


def test_ids_are_bytes_and_are_cut_behind_a_character():
    rng = np.random.default_rng(1)
    texts = [random_text(rng, n) for n in (0, 1, 4, 6, 9, 20)] + ["\0a"]
    ids = np.asarray(text.byte_ids(texts, 11))
    assert ids.shape == (7, 11)
    for one, row in zip(texts, ids):
        kept = max((one[:n].encode() for n in range(len(one) + 1) if len(one[:n].encode()) <= 11), key=len)
        assert row.tolist() == [byte + 1 for byte in kept] + [0] * (11 - len(kept))
    borders = ops.convert_to_numpy(text.character_borders(ops.convert_to_tensor(ids)))
    for row, found in zip(ids, borders):
        places = text.character_places(bytes((row[row > 0] - 1).tolist()))
        assert np.flatnonzero(found).tolist() == places.tolist()


def test_spans_and_tags_are_those_of_seqeval():
    rng = np.random.default_rng(2)
    for _ in range(200):
        words = ["w" * n for n in rng.integers(1, 5, 8)]
        tags = ["O"]
        while len(tags) < 8:
            tags.append(str(rng.choice(["O", "B-A", "B-B"] + (["I" + tags[-1][1:]] if tags[-1] != "O" else []))))
        spans = text.spans_of_tags(words, tags)
        starts = np.cumsum([0] + [len(word) + 1 for word in words])
        expected = [(starts[a], starts[b + 1] - 1 - starts[a], label) for label, a, b in get_entities(tags)]
        assert spans == expected
        assert text.tags_of_spans(words, spans) == tags
    assert text.tags_of_spans(["ab", "cd"], [(1, 2, "X")]) == ["B-X", "O"]


def test_a_tag_inside_of_another_span_begins_a_span():
    assert text.spans_of_tags(["a", "b", "c"], ["I-X", "I-Y", "O"]) == [(0, 1, "X"), (2, 1, "Y")]


def test_joined_spans_are_those_that_every_window_sees():
    rng = np.random.default_rng(3)
    for _ in range(100):
        data = random_text(rng, 60).encode()
        windows = text.byte_windows(data, 16)
        places, spans, at = text.character_places(data).tolist(), [], 0
        while at < len(places) - 1:
            end = at + int(rng.integers(1, 5))
            if end < len(places) and places[end] - places[at] <= 8 and rng.random() < 0.7:
                spans.append((places[at], places[end] - places[at], str(rng.choice(["A", "B"]))))
            at = end
        seen = [(a, b, [span for span in spans if a <= span[0] and span[0] + span[1] <= b]) for a, b in windows]
        assert text.joined_spans(seen, len(data)) == spans


def test_the_window_with_more_text_around_a_span_answers_for_it():
    first, second = (0, 20, [(10, 4, "A"), (16, 3, "B")]), (10, 30, [(10, 5, "C"), (15, 4, "D")])
    # (10, 4) stands 10 and 6 from the borders of the first window, at the border of the second, which is not asked;
    # (16, 3) and (15, 4) are both asked of the second window, which found one of them
    assert text.joined_spans([first, second], 30) == [(10, 4, "A"), (15, 4, "D")]
    # spans that overlap: more text around wins
    assert text.joined_spans([(0, 20, [(3, 5, "A"), (6, 9, "B")])], 40) == [(3, 5, "A")]
    assert text.joined_spans([], 0) == []


@pytest.mark.parametrize("rows", [1, 3])
def test_borders_of_full_rows(rows):
    ids = np.full((rows, 4), ord("a") + 1)
    assert np.all(ops.convert_to_numpy(text.character_borders(ops.convert_to_tensor(ids))))
