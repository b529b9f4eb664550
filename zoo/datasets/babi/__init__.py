"""The bAbI tasks: simulated stories in the format of the original files, a parser for those files, and a vectoriser.

Weston et al. 2015, "Towards AI-Complete Question Answering: A Set of Prerequisite Toy Tasks", arXiv:1502.05698. A story is a list of
numbered lines, facts and questions; a question carries its answer and the numbers of the facts that support it:

    1 Mary moved to the bathroom.
    2 John went to the hallway.
    3 Where is Mary? <tab>bathroom<tab>1

`simulate` writes stories of all twenty tasks after the released data (version 1.2, 1000 questions a task), whose generator was not
published: the worlds, the sentences and their frequencies, the clock, what is asked when, answers and supports were read off the files.
In most tasks two facts are told, then something of the last five facts is asked, if they give an answer, until there are five questions.
`read` gives the released files.
"""

import operator
import random

from zoo.datasets.babi import reasons, rooms, space, walks
from zoo.datasets.babi.arrays import encode_sentence, ngrams, tokenize, vectorise, vocabulary
from zoo.datasets.babi.english import in_english
from zoo.datasets.babi.format import Example, Line, examples, parse, read, write
from zoo.datasets.babi.german import in_german
from zoo.datasets.babi.reasons import FEARFUL, OWNERS
from zoo.datasets.babi.rooms import ACTORS, DROPS, GETS, GIVES, MOVES, OBJECTS, ROOMS
from zoo.datasets.babi.shuffled import in_nonsense

TASKS = dict(sorted({**rooms.TASKS, **walks.TASKS, **space.TASKS, **reasons.TASKS}.items()))
LANGUAGES = {"english": in_english, "german": in_german, "shuffled": in_nonsense}


def simulate(task, questions=1000, seed=0, language="english"):
    """Write stories of one task.

    Args:
        task: 1 to 20, as the paper numbers them: 1 to 3 one, two and three supporting facts, 4 and 5 relations of two and three arguments,
            6 yes or no, 7 counting, 8 lists, 9 negation, 10 indefinite knowledge, 11 coreference, 12 conjunction, 13 compound coreference,
            14 time, 15 deduction, 16 induction, 17 positions, 18 sizes, 19 path finding, 20 motives.
        questions: how many questions in all; the last story may be cut.
        seed: the same seed gives the same stories on every machine.
        language: `"english"`; `"german"`; or `"shuffled"`, English with every word replaced by a fixed one that means nothing. Stories,
            answers and supports are the same in all languages.

    Returns:
        List of stories, each a list of `Line`.

    Raises:
        ValueError: if the task or the language is unknown, `questions` is not a positive integer or `seed` is not an integer.
    """
    if isinstance(task, bool) or task not in range(1, 21):
        raise ValueError(f"`task` must be an integer from 1 to 20. Received: {task!r}")
    if not isinstance(language, str) or language not in LANGUAGES:
        raise ValueError(f"`language` must be one of {sorted(LANGUAGES)}. Received: {language!r}")
    left, seed = _integer("questions", questions), _integer("seed", seed)
    if left < 1:
        raise ValueError(f"`questions` must be at least 1. Received: {questions!r}")
    rng, stories = random.Random(f"bAbI {int(task)} {seed}"), []
    while left > 0:
        story = TASKS[task](rng)
        asked = [i for i, told in enumerate(story) if told.answer is not None]
        stories.append([LANGUAGES[language](told) for told in story[: asked[min(left, len(asked)) - 1] + 1]])
        left -= len(asked)
    return stories


def _integer(name, value):
    try:
        if isinstance(value, bool):
            raise TypeError
        return operator.index(value)
    except TypeError:
        raise ValueError(f"`{name}` must be an integer. Received: {value!r}") from None
