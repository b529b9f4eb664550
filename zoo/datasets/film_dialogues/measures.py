"""How good a ranking is."""

from collections.abc import Collection, Hashable, Sequence

from zoo.datasets.film_dialogues.checks import refuse, whole


def hits_at(k: int, ranked: Sequence[Sequence[Hashable]], replies: Sequence[Collection[Hashable]]) -> float:
    """Share of messages that have a right reply among the first `k` of their ranking.

    Args:
        k: 1 in the paper's task 1, 100 in task 2, 10 in tasks 3 and 4.
        ranked: for each message the candidates, the best first; those behind the first `k` may be left out.
        replies: for each message all right ones, in the same form as the candidates: texts or numbers.

    Returns:
        A number from 0 to 1.

    Raises:
        ValueError: if there is no message, or the lists are not of the same length.
    """
    first = whole("k", k)
    if len(ranked) != len(replies) or not len(replies):
        refuse("ranked", f"of the length of `replies`, {len(replies)}, and not empty", f"{len(ranked)} rankings")
    hits = [not set(right).isdisjoint(ranking[:first]) for ranking, right in zip(ranked, replies)]
    return sum(hits) / len(hits)
