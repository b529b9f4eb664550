"""Tasks 2 and 3: recommendations from what a user likes, alone and in dialogues with questions and further wishes."""

from collections.abc import Sequence

import numpy as np

from zoo.datasets.film_dialogues.checks import Splits, divide, generator, refuse, sizes, whole
from zoo.datasets.film_dialogues.format import Dialogue, Exchange
from zoo.datasets.film_dialogues.knowledge import KnowledgeBase, Question
from zoo.datasets.film_dialogues.phrases import CONTRASTS, FAVOURITES, PRONOUNS, PRONOUNS_ELSE, REQUESTS, SAME, WISHES
from zoo.datasets.film_dialogues.ratings import Ratings

# films that a message lists, as in the authors' files; fewer of users who like fewer
LISTED = 7
# draws for one dialogue before the facts or ratings are said to be too few
_TRIES = 500


def recommendation(knowledge: KnowledgeBase, ratings: Ratings, count: int = 1000, seed: int = 0, least: float = 5) -> Splits:
    """Films that a user rated highest, up to seven, and the request for another one; the reply is one that he rated as high.

    No user is in two parts.

    Args:
        knowledge: the facts, which have the films of `ratings`.
        ratings: as `movielens` or `invented_ratings` gives them.
        count: dialogues in all, a tenth of them for validation and a tenth for test.
        seed: of all draws.
        least: the rating from which on a film is liked.

    Returns:
        `Splits` of dialogues with one `Exchange` and one reply.

    Raises:
        ValueError: if fewer than three users like two films, or a film of `ratings` is not in `knowledge`.
    """
    rng, numbers = generator("recommendation", seed), sizes(count)
    parts = divide("ratings", _tastes(knowledge, ratings, least), rng)
    return Splits(*([_recommended(users, rng) for _ in range(number)] for users, number in zip(parts, numbers)))


def _tastes(knowledge: KnowledgeBase, ratings: Ratings, least: float) -> list[list[str]]:
    unknown = set(ratings.titles).difference(knowledge.films)
    if unknown:
        refuse("ratings", "of films of the knowledge base", min(unknown))
    return ratings.favourites(least)


def _recommended(users, rng) -> Dialogue:
    *listed, reply = _drawn(users, rng)
    return [Exchange(f"{_liking(listed, rng)} {_one_of(REQUESTS, rng)}", (reply,))]


def _drawn(users, rng) -> list[str]:
    """Films that one user likes, in a random order: those to list, and one more."""
    liked = users[rng.integers(len(users))]
    return [liked[i] for i in rng.permutation(len(liked))[: LISTED + 1]]


def _liking(listed, rng) -> str:
    *others, last = listed
    names = last if not others else f"{', '.join(others)}{',' * (len(others) > 1)} and {last}"
    return _one_of(FAVOURITES, rng).format(names)


def _one_of(items: Sequence[str], rng: np.random.Generator) -> str:
    return items[int(rng.integers(len(items)))]


# --- with questions ---


def qa_recommendation(
    knowledge: KnowledgeBase, ratings: Ratings, count: int = 1000, seed: int = 0, least: float = 5, max_answers: int = 100
) -> Splits:
    """Three exchanges: a recommendation with a wish, a question about the film, and a wish for another film.

    1. Films that a user likes and what the next one should have; the reply is one that he likes and that has it.
    2. A question about that film, which it does not name: "Who else is in it?"; all answers.
    3. Another wish, and all films that fulfil it. One half of these messages names nothing ("Do you know anything else by that
       director?"), the other names someone and relies on the first wish for the rest ("I'd prefer one like that with Harvey Keitel").

    No second and no third message can be answered without the exchanges before: it names nothing, or a person who has more films than
    those of the kind that was wished for first. Where the facts allow only one of the two forms of the third, it has that one. No user is
    in two parts.

    Args:
        knowledge: the facts, which have the films of `ratings`.
        ratings: as `movielens` or `invented_ratings` gives them.
        count: dialogues in all, a tenth of them for validation and a tenth for test.
        seed: of all draws.
        least: the rating from which on a film is liked.
        max_answers: third messages with more answers are not asked.

    Returns:
        `Splits` of dialogues with three `Exchange`s. Their `question` gives all replies of the second and the third, and films of which
        the first reply is one.

    Raises:
        ValueError: if fewer than three users like two films, a film of `ratings` is not in `knowledge`, or facts are too few.
    """
    rng, numbers, most = generator("qa_recommendation", seed), sizes(count), whole("max_answers", max_answers)
    parts = divide("ratings", _tastes(knowledge, ratings, least), rng)
    makers = [_Conversation(knowledge, users, rng, most) for users in parts]
    return Splits(*([maker.dialogue() for _ in range(number)] for maker, number in zip(makers, numbers)))


class _Conversation:
    """Draws dialogues of some users until the facts allow three exchanges."""

    def __init__(self, knowledge, users, rng, max_answers):
        self.knowledge, self.users, self.rng, self.max_answers = knowledge, users, rng, max_answers

    def dialogue(self) -> Dialogue:
        for _ in range(_TRIES):
            *listed, film = _drawn(self.users, self.rng)
            wish = self._wish(film)
            second = wish and self._question(film, wish)
            third = second and self._another(film, wish, (*listed, film))
            if third:
                message = f"{_liking(listed, self.rng)} {_one_of(WISHES[wish.relation], self.rng).format(wish.entity)}"
                return [Exchange(message, (film,), wish), second, third]
        refuse("knowledge", "a knowledge base with facts for three exchanges", f"none in {_TRIES} tries")

    def _shuffled(self, items):
        return [items[i] for i in self.rng.permutation(len(items))]

    def _wish(self, film):
        """Something that the film has."""
        for relation in self._shuffled(tuple(WISHES)):
            names = self.knowledge.objects(film, relation)
            if names:
                return Question(_one_of(names, self.rng), relation, True)
        return None

    def _question(self, film, wish):
        """A question about the film, whose answers leave out what the user wished for."""
        for relation in self._shuffled(tuple(PRONOUNS)):
            said = relation == wish.relation
            without = (wish.entity,) if said else ()
            replies = tuple(name for name in self.knowledge.objects(film, relation) if name not in without)
            if replies:
                phrases = (PRONOUNS_ELSE if said else PRONOUNS)[relation]
                return Exchange(_one_of(phrases, self.rng), replies, Question(film, relation, without=without))
        return None

    def _another(self, film, wish, known):
        """The third exchange in one of its two forms, or in the other one."""
        forms = [self._unnamed, self._named]
        if self.rng.random() < 0.5:
            forms.reverse()
        return forms[0](film, wish, known) or forms[1](film, wish, known)

    def _unnamed(self, film, wish, known):
        for relation in self._shuffled(tuple(SAME)):
            names = self.knowledge.objects(film, relation)
            # "that director" must be one
            if len(names) == 1 and relation != wish.relation:
                also = wish if relation == "release_year" else None
                found = self._wished(_one_of(SAME[relation], self.rng), Question(names[0], relation, True, known, also))
                if found:
                    return found
        return None

    def _named(self, film, wish, known):
        """Someone else who made a film of the kind wished for first, and others."""
        kind = self.knowledge.films_with(wish.relation, wish.entity)
        other = kind[self.rng.integers(len(kind))]
        if other in known:
            return None
        for relation in self._shuffled(tuple(CONTRASTS)):
            names = [name for name in self.knowledge.objects(other, relation) if name not in self.knowledge.objects(film, relation)]
            if names:
                question = Question(_one_of(names, self.rng), relation, True, known, wish)
                found = self._wished(_one_of(CONTRASTS[relation], self.rng).format(question.entity), question)
                # alone, the message would ask for more films
                alone = set(self.knowledge.films_with(relation, question.entity)).difference(known)
                if found and len(alone) > len(found.replies):
                    return found
        return None

    def _wished(self, message, question):
        """An exchange with all films that the question asks for, if there are some and not too many."""
        films = self.knowledge.films_with(question.relation, question.entity)
        fit = [film for film in films if film not in question.without and self._has(film, question.also)]
        return Exchange(message, tuple(fit), question) if 0 < len(fit) <= self.max_answers else None

    def _has(self, film, wish):
        return wish is None or wish.entity in self.knowledge.objects(film, wish.relation)
