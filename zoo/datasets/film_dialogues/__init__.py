"""Dialogues about films: four tasks and their mixture, in the format of the Movie Dialog dataset.

Dodge et al. 2015, "Evaluating Prerequisite Qualities for Learning End-to-End Dialog Systems", arXiv:1511.06931. A dialogue is a list of
exchanges, a message and the replies to it of which any is right. Models rank candidates: all entities in tasks 1 to 3, given replies in
task 4. The knowledge base may serve as a long-term memory, the exchanges before as a short-term one.

    qa                  "Which movies star Al Pacino?" <tab> Heat (1995), Scarface, ...
    recommendation      "I loved Heat (1995), Fargo, and Alien. What else might I like?" <tab> Brazil
    qa_recommendation   "I loved ... I'd like to see something with Al Pacino." <tab> Serpico
                        "Who directed it?" <tab> Sidney Lumet
                        "Do you know anything else by that director?" <tab> 12 Angry Men, ...
    discussion          chats of two people
    joint               all four

Facts, ratings and chats come from packages, or from those who call: the authors' own files (OMDb, MovieLens 20M, Reddit) are read by
`read`, `read_knowledge`, `read_entities` and `read_candidates`, which with their writers keep every byte.
"""

from collections.abc import Sequence

from zoo.datasets.film_dialogues.checks import Splits, generator, sizes
from zoo.datasets.film_dialogues.discussions import discussion
from zoo.datasets.film_dialogues.entities import EntityMatcher
from zoo.datasets.film_dialogues.films import films, invented_films
from zoo.datasets.film_dialogues.format import (
    Exchange,
    read,
    read_candidates,
    read_entities,
    read_knowledge,
    split_list,
    with_history,
    write,
    write_candidates,
    write_entities,
    write_knowledge,
)
from zoo.datasets.film_dialogues.knowledge import RELATIONS, KnowledgeBase, Question, Triple, answer
from zoo.datasets.film_dialogues.measures import hits_at
from zoo.datasets.film_dialogues.questions import qa
from zoo.datasets.film_dialogues.ratings import Ratings, invented_ratings, movielens
from zoo.datasets.film_dialogues.recommendations import qa_recommendation, recommendation
from zoo.datasets.film_dialogues.retriever import Retriever

TASKS = ("qa", "recommendation", "qa_recommendation", "discussion", "joint")


def task(
    name: str,
    knowledge: KnowledgeBase | None = None,
    count: int = 1000,
    seed: int = 0,
    ratings: Ratings | None = None,
    conversations: Sequence[Sequence[str]] | None = None,
) -> Splits:
    """Dialogues of one task; the function of its name has more arguments.

    Args:
        name: one of `TASKS`; of `"joint"` a quarter of the dialogues is of each other task, in a random order.
        knowledge: the facts; `None` for `films()`.
        count: dialogues in all, a tenth of them for validation and a tenth for test; of `"joint"` 40 or more, a tenth of each
            quarter, rounded down.
        seed: the same seed gives the same dialogues on every machine.
        ratings: who likes what; `None` for `movielens(knowledge)`.
        conversations: chats; `None` for `zoo.datasets.chitchat()`.

    Returns:
        `train, validation, test`, each a list of dialogues.

    Raises:
        ValueError: if an argument is none of these, or the data is too little for `count`.
        ImportError: with the pip command, if the package that has the data is not installed.
    """
    if not isinstance(name, str) or name not in TASKS:
        raise ValueError(f"`name` must be one of {list(TASKS)}. Received: {name!r}")
    sizes(count)
    if name == "discussion":
        return discussion(conversations, count, seed)
    knowledge = films() if knowledge is None else knowledge
    if name == "qa":
        return qa(knowledge, count, seed)
    ratings = movielens(knowledge) if ratings is None else ratings
    if name != "joint":
        return (recommendation if name == "recommendation" else qa_recommendation)(knowledge, ratings, count, seed)
    return _joint(knowledge, count, seed, ratings, conversations)


def _joint(knowledge, count, seed, ratings, conversations) -> Splits:
    rng, quarter = generator("joint", seed), count // 4
    if quarter < 10:
        raise ValueError(f'`count` must be at least 40 for the task "joint". Received: {count!r}')
    others = [task(name, knowledge, quarter, seed, ratings, conversations) for name in TASKS[1:4]]
    # what is left over when count is divided by four are questions
    parts = zip(qa(knowledge, count - 3 * quarter, seed), *others)
    mixed = [[dialogue for one in part for dialogue in one] for part in parts]
    return Splits(*([dialogues[i] for i in rng.permutation(len(dialogues))] for dialogues in mixed))


def candidates_of(exchange: Exchange, knowledge: KnowledgeBase) -> tuple[str, ...]:
    """What is ranked for a message: the replies that a discussion gives, or else all entities."""
    return exchange.candidates or knowledge.entities
