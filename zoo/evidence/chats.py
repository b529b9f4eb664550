"""What methods that answer are compared on: short replies of chats, and replies of other chats beside the right one."""

from collections.abc import Callable, Sequence

import numpy as np

# what a card says of it
CHATS = "BYU's chit-chat dataset (Myers, Etchart, Fulda 2020, MIT): chats of two people, a twentieth each held out for choice and test."


def chat_exchanges(part: str, count: int, turns: int = 1, longest: int = 15) -> tuple[list[list[str]], list[str]]:
    """Replies of `zoo.datasets.chitchat` that are short enough, and the turns before them.

    Args:
        part: `"train"`, `"validation"` or `"test"`.
        count: how many at most, drawn at random, always the same ones, whatever the number of turns.
        turns: so many before each at most.
        longest: words of a reply.

    Returns:
        Two lists: lists of turns, and replies, as words in lower case with spaces between them.
    """
    from zoo import datasets, text

    before, replies = text.exchanges(datasets.chitchat(part), turns)
    words = text.tokenize(replies)
    short = [i for i, line in enumerate(words) if 0 < len(line) <= longest]
    rows = [short[i] for i in np.random.default_rng(0).permutation(len(short))[:count]]
    return [before[i] for i in rows], [" ".join(words[i]) for i in rows]


def with_distractors(replies: Sequence[str], number: int = 9) -> list[list[str]]:
    """Each reply before so many others, always the same ones; a proxy for people's judgement is how often a model finds the right one.

    Args:
        replies: list of strings.
        number: of others.

    Returns:
        List of lists of `1 + number` strings, fewer where there are fewer others, the right one first.
    """
    rng, found = np.random.default_rng(0), []
    for reply in replies:
        others = (replies[i] for i in rng.permutation(len(replies)) if replies[i] != reply)
        found.append([reply, *(other for other, _ in zip(others, range(number)))])
    return found


def first_share(scores: Sequence[Sequence[float]] | np.ndarray) -> float:
    """How often the first score of a row is the highest; of those that share this place each has its part."""
    return float(np.mean([(row[0] == max(row)) / np.sum(np.equal(row, max(row))) for row in map(np.asarray, scores)]))


def right_before(
    log_likelihood: Callable[[list, list[str]], np.ndarray], before: Sequence[list[str]], replies: Sequence[str], number: int = 9
) -> float:
    """How often a reply is likeliest behind its own conversation, and not behind one of so many others.

    Of scores of one reply its own probability, which is high for what fits anywhere, is no part, as it is of scores of several replies.

    Args:
        log_likelihood: of a list of conversations and a list of as many replies, an array.
        before: list of conversations.
        replies: list of as many strings.
        number: of other conversations, always the same ones.
    """
    rng, count = np.random.default_rng(0), len(replies)
    rows = [[i, *((i + 1 + rng.permutation(count - 1)[:number]) % count)] for i in range(count)]
    scores = log_likelihood([before[j] for row in rows for j in row], [replies[row[0]] for row in rows for _ in row])
    return first_share(scores.reshape(count, -1))
