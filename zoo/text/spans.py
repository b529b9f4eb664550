"""Spans of characters: from and to tags of words, and from overlapping windows to a text."""

import bisect


def spans_of_tags(words, tags):
    """Spans in the text of words that single spaces separate.

    Args:
        words: list of words.
        tags: one a word: `"B-X"` and `"I-X"` for a span with the label `X` (IOB2), `"O"` for none.

    Returns:
        List of `(start, length, label)` in characters of `" ".join(words)`.
    """
    spans, place = [], 0
    for word, tag in zip(words, tags, strict=True):
        kind, _, label = tag.partition("-")
        if kind == "I" and spans and spans[-1][2] == label and spans[-1][0] + spans[-1][1] == place - 1:
            spans[-1] = (spans[-1][0], place + len(word) - spans[-1][0], label)
        elif kind != "O":
            spans.append((place, len(word), label))
        place += len(word) + 1
    return spans


def tags_of_spans(words, spans):
    """Tags of words (IOB2), from spans in their text.

    Args:
        words: list of words; single spaces separate them in the text.
        spans: list of `(start, length, label)` in characters of that text. A word belongs to the first span that holds any of it.

    Returns:
        List of tags, one a word.
    """
    spans, tags, place, before = sorted(spans), [], 0, None
    for word in words:
        found = next((span for span in spans if span[0] < place + len(word) and place < span[0] + span[1]), None)
        tags.append("O" if found is None else ("I-" if found == before else "B-") + found[2])
        place, before = place + len(word) + 1, found
    return tags


def joined_spans(windows, length):
    """Spans of a text, from those that were found in overlapping windows of it.

    Each span is asked of one window only, the one that holds it with most text around it, on the side where it has less; the ends of the
    text are no border. What other windows found there is left out. Of spans that still overlap, those with more text around them stay.

    Args:
        windows: list of `(begin, end, spans)`, spans as `(start, length, label)` with starts in the text.
        length: of the text.

    Returns:
        List of `(start, length, label)`, in order, none overlapping another.
    """

    def margin(window, span):
        """Text between a span and the borders of a window; negative where it lies not wholly inside."""
        (begin, end, _), last = window, span[0] + span[1]
        return min(length if begin == 0 else span[0] - begin, length if end == length else end - last)

    found, first = [], 0
    for place, (begin, end, spans) in enumerate(windows):
        # windows that share text with this one
        while first < place and windows[first][1] <= begin:
            first += 1
        last = place + 1
        while last < len(windows) and windows[last][0] < end:
            last += 1
        for span in spans:
            margins = [margin(other, span) for other in windows[first:last]]
            if margins.index(max(margins)) == place - first:
                found.append((max(margins), span))
    kept: list = []
    for _, span in sorted(found, key=lambda item: (-item[0], item[1])):
        at = bisect.bisect(kept, span)
        free_before = at == 0 or kept[at - 1][0] + kept[at - 1][1] <= span[0]
        if free_before and (at == len(kept) or span[0] + span[1] <= kept[at][0]):
            kept.insert(at, span)
    return kept
