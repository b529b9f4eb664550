"""Task 1: questions about facts, each in one exchange."""

from zoo.datasets.film_dialogues.checks import Splits, divide, generator, refuse, sizes, whole
from zoo.datasets.film_dialogues.format import Dialogue, Exchange
from zoo.datasets.film_dialogues.knowledge import KnowledgeBase, Question
from zoo.datasets.film_dialogues.phrases import QUESTIONS


def qa(knowledge: KnowledgeBase, count: int = 1000, seed: int = 0, max_answers: int = 100) -> Splits:
    """Questions after what a film has, and after films that have something, with all right answers.

    No entity is asked for in the same relation in two parts. All that can be asked is asked once before anything is asked again.

    Args:
        knowledge: the facts.
        count: dialogues in all, a tenth of them for validation and a tenth for test.
        seed: of all draws.
        max_answers: questions with more answers, such as those after all dramas, are left out.

    Returns:
        `Splits` of dialogues with one `Exchange`, whose `question` says what is asked.

    Raises:
        ValueError: if an argument is not a whole number, or the knowledge base has too little to ask for.
    """
    most, rng, numbers = whole("max_answers", max_answers), generator("qa", seed), sizes(count)
    pairs = [pair for pair in knowledge.pairs if pair[1:] in QUESTIONS and len(_answers(knowledge, pair)) <= most]
    # a title may be a year as well: both directions of such a pair stay in one part
    keys = list(dict.fromkeys(pair[:2] for pair in pairs))
    if len(keys) < 3:
        refuse("knowledge", "a knowledge base with questions for three parts", f"{len(keys)} questions")
    parts = [set(part) for part in divide("knowledge", keys, rng)]
    return Splits(*(_asked(knowledge, [p for p in pairs if p[:2] in part], number, rng) for part, number in zip(parts, numbers)))


def _answers(knowledge, pair):
    entity, relation, inverse = pair
    return knowledge.films_with(relation, entity) if inverse else knowledge.objects(entity, relation)


def _asked(knowledge, pairs, number, rng) -> list[Dialogue]:
    order, dialogues = rng.permutation(len(pairs)), []
    for i in range(number):
        pair = entity, relation, inverse = pairs[order[i % len(pairs)]]
        phrases = QUESTIONS[relation, inverse]
        message = phrases[rng.integers(len(phrases))].format(entity)
        dialogues.append([Exchange(message, _answers(knowledge, pair), Question(entity, relation, inverse))])
    return dialogues
