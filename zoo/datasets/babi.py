"""The bAbI tasks: simulated stories in the format of the original files, a parser for those files, and a vectoriser.

Weston et al. 2015, "Towards AI-Complete Question Answering: A Set of Prerequisite Toy Tasks", arXiv:1502.05698. A story is a list of
numbered lines, facts and questions; a question carries its answer and the numbers of the facts that support it:

    1 Mary moved to the bathroom.
    2 John went to the hallway.
    3 Where is Mary? <tab>bathroom<tab>1

The simulator follows the released data (version 1.2, 1000 questions a task): the world, the sentences and their frequencies, and the clock:
after every two facts a person or object is drawn and asked about if the facts give the answer, until a story has five questions.
Stories of tasks 2 and 3 have about the length of the released ones (27 for 23 and 60 for 74 facts).
Tasks 1, 2, 3, 6 and 15 are written; another task is one more function in `TASKS`. `read` gives the released files of all twenty.
"""

import random
import re
from dataclasses import dataclass

import numpy as np

from zoo import files
from zoo.datasets.records import info

ACTORS = ("Mary", "Sandra", "John", "Daniel")
ROOMS = ("bedroom", "bathroom", "kitchen", "office", "garden", "hallway")
OBJECTS = ("football", "milk", "apple")
MOVES = ("went", "went back", "journeyed", "travelled", "moved")
GETS = ("got", "grabbed", "took", "picked up")
DROPS = ("dropped", "discarded", "left", "put down")
SPECIES = {"mouse": "Mice", "sheep": "Sheep", "wolf": "Wolves", "cat": "Cats"}
OWNERS = ("Gertrude", "Winona", "Jessica", "Emily")
# attempts to move, get and drop; many of the last two are impossible, which leaves 64, 20 and 16 % as in the released task 2
_ACTIONS = (4, 5, 4)


@dataclass(frozen=True)
class Line:
    """A fact, or a question if it has an answer; `support` holds line numbers, counted from 1."""

    text: str
    answer: str | None = None
    support: tuple = ()


@dataclass(frozen=True)
class Example:
    """A question with the facts before it, oldest first; `support` holds positions in `story`, counted from 0."""

    story: tuple
    question: str
    answer: str
    support: tuple = ()


def simulate(task, questions=1000, seed=0):
    """Write stories of one task.

    Args:
        task: 1 (where is a person), 2 (where is an object), 3 (where was an object before), 6 (yes or no) or 15 (deduction).
        questions: how many questions in all; the last story may be cut.
        seed: the same seed gives the same stories on every machine.

    Returns:
        List of stories, each a list of `Line`.

    Raises:
        ValueError: if the task is unknown or `questions` is not positive.
    """
    if task not in TASKS:
        raise ValueError(f"`task` must be one of {sorted(TASKS)}. Received: {task!r}")
    if questions < 1:
        raise ValueError(f"`questions` must be at least 1. Received: {questions!r}")
    rng, stories = random.Random(f"bAbI {task} {seed}"), []
    while questions > 0:
        story = TASKS[task](rng)
        asked = [i for i, line in enumerate(story) if line.answer is not None]
        stories.append(story[: asked[min(questions, len(asked)) - 1] + 1])
        questions -= len(asked)
    return stories


# --- the world of tasks 1, 2, 3 and 6 ---


class _World:
    """Four people walk through six rooms, pick up three objects and drop them; what they do is told in `lines`.

    Args:
        rng: a `random.Random`.
        actions: weights of moving, getting and dropping among the attempts, of which the impossible ones are not told.
        there: how often a sentence about getting ends in "there".
    """

    def __init__(self, rng, actions, there=1.0):
        self.rng, self.actions, self.there, self.lines = rng, actions, there, []
        self.room = {who: rng.choice(ROOMS) for who in (*ACTORS, *OBJECTS)}
        self.holder = {}
        # what the story tells: the line of a person's last move; the line of an object's last get or drop,
        # the rooms where it was seen since it was last picked up, and the lines that say so
        self.moved, self.handled, self.path = {}, {}, {thing: [] for thing in OBJECTS}

    def tell(self, text, answer=None, support=()):
        self.lines.append(Line(text, answer, tuple(support)))
        return len(self.lines)

    def act(self):
        """One possible action of a random person."""
        while True:
            actor = self.rng.choice(ACTORS)
            action = self.rng.choices((self.move, self.get, self.drop), self.actions)[0]
            if action(actor):
                return

    def move(self, actor):
        room = self.rng.choice([r for r in ROOMS if r != self.room[actor]])
        line = self.tell(f"{actor} {self.rng.choice(MOVES)} to the {room}.")
        self.room[actor], self.moved[actor] = room, line
        for thing in self.held(actor):
            self.room[thing] = room
            self.path[thing].append((room, line))
        return True

    def get(self, actor):
        free = [o for o in OBJECTS if o not in self.holder and self.room[o] == self.room[actor]]
        if free:
            thing = self.rng.choice(free)
            there = " there" if self.rng.random() < self.there else ""
            self.handled[thing] = self.tell(f"{actor} {self.rng.choice(GETS)} the {thing}{there}.")
            self.holder[thing], self.path[thing] = actor, []
        return free

    def drop(self, actor):
        held = self.held(actor)
        if held:
            thing = self.rng.choice(held)
            there = " there" if self.rng.random() < 0.2 else ""
            self.handled[thing] = self.tell(f"{actor} {self.rng.choice(DROPS)} the {thing}{there}.")
            del self.holder[thing]
            if not self.path[thing] and actor in self.moved:
                self.path[thing].append((self.room[actor], self.moved[actor]))
        return held

    def held(self, actor):
        return [o for o in OBJECTS if self.holder.get(o) == actor]


def _rooms_story(rng, ask, actions, there=1.0):
    """Two facts, then a question if `ask` finds one that the facts answer, five times."""
    world = _World(rng, actions, there)
    asked = 0
    while asked < 5:
        world.act()
        world.act()
        asked += ask(world)
    return world.lines


def _where_is_actor(world):
    if not world.moved:
        return False
    actor = world.rng.choice(sorted(world.moved))
    world.tell(f"Where is {actor}? ", world.room[actor], [world.moved[actor]])
    return True


def _is_actor_in(world):
    if not world.moved:
        return False
    actor = world.rng.choice(sorted(world.moved))
    true = world.rng.random() < 0.5
    room = world.room[actor] if true else world.rng.choice([r for r in ROOMS if r != world.room[actor]])
    world.tell(f"Is {actor} in the {room}? ", "yes" if true else "no", [world.moved[actor]])
    return True


def _where_is_object(world):
    thing = world.rng.choice(OBJECTS)
    if not world.path[thing]:
        return False
    room, line = world.path[thing][-1]
    world.tell(f"Where is the {thing}? ", room, [world.handled[thing], line])
    return True


def _where_was_object(world):
    thing = world.rng.choice(OBJECTS)
    path = world.path[thing]
    if len(path) < 2:
        return False
    room = world.rng.choice(sorted({room for room, _ in path[1:]}))
    last = max(i for i, (visited, _) in enumerate(path) if visited == room)
    before, line = path[last - 1]
    world.tell(f"Where was the {thing} before the {room}? ", before, [world.handled[thing], path[last][1], line])
    return True


# --- task 15 ---


def _deduction(rng):
    """Each species fears another one; people are told to be of a species already named."""
    fear = {kind: rng.choice([k for k in SPECIES if k != kind]) for kind in SPECIES}
    kinds, owners = rng.sample(list(SPECIES), 4), rng.sample(OWNERS, 4)
    lines, fear_line, owner_line, kind_of = [], {}, {}, {}
    while kinds or owners:
        if kinds and (not fear_line or not owners or rng.random() < 0.5):
            kind = kinds.pop()
            lines.append(Line(f"{SPECIES[kind]} are afraid of {SPECIES[fear[kind]].lower()}."))
            fear_line[kind] = len(lines)
        else:
            owner = owners.pop()
            kind_of[owner] = rng.choice(sorted(fear_line))
            lines.append(Line(f"{owner} is a {kind_of[owner]}."))
            owner_line[owner] = len(lines)
    for owner in rng.choices(OWNERS, k=4):
        kind = kind_of[owner]
        lines.append(Line(f"What is {owner.lower()} afraid of?", fear[kind], (owner_line[owner], fear_line[kind])))
    return lines


TASKS = {
    1: lambda rng: _rooms_story(rng, _where_is_actor, (1, 0, 0)),
    2: lambda rng: _rooms_story(rng, _where_is_object, _ACTIONS),
    3: lambda rng: _rooms_story(rng, _where_was_object, _ACTIONS, there=0.2),
    6: lambda rng: _rooms_story(rng, _is_actor_in, _ACTIONS),
    15: _deduction,
}


# --- files ---


def read(task, part="train"):
    """Stories of the released files (version 1.2, English, 1000 questions a task), CC BY 3.0.

    Read from `ZOO_DATA/babi` if there, else downloaded from a pinned commit; `write` gives the text of the file back.

    Args:
        task: 1 to 20.
        part: `"train"` or `"test"`.

    Returns:
        List of stories, each a list of `Line`.

    Raises:
        zoo.files.DataUnavailable: if it cannot be had.
        ValueError: if there is no such task or part, or the file is not what the checksum says.
    """
    if task not in range(1, 21):
        raise ValueError(f"`task` must be 1 to 20. Received: {task!r}")
    if part not in ("train", "test"):
        raise ValueError(f"`part` must be 'train' or 'test'. Received: {part!r}")
    record = info("babi")
    file = next(file for file in record.files if re.fullmatch(rf"babi/qa{task}_.*_{part}\.txt", file.name))
    return parse(files.fetch(file, record).read_text(encoding="utf-8"))


def write(stories):
    """The text of `stories` in the format of the original files; `parse` reads it back."""
    lines = []
    for story in stories:
        for number, line in enumerate(story, start=1):
            fields = [line.text] if line.answer is None else [line.text, line.answer, " ".join(map(str, line.support))]
            lines.append(f"{number} " + "\t".join(fields) + "\n")
    return "".join(lines)


def parse(text):
    """Read stories from the text of a bAbI file, of any of the twenty tasks.

    Returns:
        List of stories, each a list of `Line`.

    Raises:
        ValueError: naming the first line that is not a numbered fact or question.
    """
    stories = []
    for place, content in enumerate(text.splitlines(), start=1):
        match = re.fullmatch(r"(\d+) ([^\t]+)(?:\t([^\t]+)(?:\t([\d ]*))?)?", content)
        if match is None or int(match[1]) != (1 if match[1] == "1" else len(stories[-1]) + 1 if stories else 1):
            raise ValueError(
                f"`text` must hold lines of a bAbI file, numbered from 1 in each story. Received: {content[:100]!r} in line {place}"
            )
        if match[1] == "1":
            stories.append([])
        stories[-1].append(Line(match[2], match[3], tuple(map(int, (match[4] or "").split()))))
    return stories


# --- arrays ---


def examples(stories):
    """One `Example` for every question of `stories`."""
    found = []
    for story in stories:
        position, facts = {}, []
        for number, line in enumerate(story, start=1):
            if line.answer is None:
                position[number] = len(facts)
                facts.append(line.text)
            else:
                found.append(Example(tuple(facts), line.text.strip(), line.answer, tuple(position[n] for n in line.support)))
    return found


def tokenize(sentence):
    """The words of a sentence in lower case, without punctuation."""
    return re.findall(r"[\w'-]+", sentence.lower())


def vocabulary(examples):
    """All words of `examples`, sorted; an answer of several words ("apple,milk") is one entry.

    Word number i of the list has the id i + 1; the id 0 is padding.
    """
    words = {example.answer.lower() for example in examples}
    sentences = {s for example in examples for s in (*example.story, example.question)}
    return sorted(words.union(*map(tokenize, sentences)))


def encode_sentence(sentence, ids, length):
    """The ids of the words of `sentence`, padded with 0 to `length`.

    Args:
        sentence: text.
        ids: dict from word to id.
        length: number of words to pad to.

    Raises:
        ValueError: if a word is unknown or there are more words than `length`.
    """
    words = tokenize(sentence)
    unknown = [w for w in words if w not in ids]
    if unknown:
        raise ValueError(f"`sentence` must use words of the vocabulary. Received: unknown {unknown} in {sentence!r}")
    if len(words) > length:
        raise ValueError(f"`sentence` must have at most {length} words. Received: {len(words)} in {sentence!r}")
    return [ids[w] for w in words] + [0] * (length - len(words))


def vectorise(examples, vocabulary, memory_size=50, sentence_length=11):
    """Arrays for a memory network.

    Args:
        examples: list of `Example`.
        vocabulary: list of words, as `vocabulary` gives it.
        memory_size: sentences kept of a story, the last ones.
        sentence_length: words of a sentence.

    Returns:
        `x, y`: `x["story"]` (n, memory_size, sentence_length) int32 with the latest sentence first, `x["question"]`
        (n, sentence_length) int32, `y` (n,) int32 ids of the answers. Padding is 0.

    Raises:
        ValueError: if a word is unknown or a sentence is too long.
    """
    ids = {word: number for number, word in enumerate(vocabulary, start=1)}
    missing = sorted({e.answer.lower() for e in examples} - set(ids))
    if missing:
        raise ValueError(f"`vocabulary` must hold every answer. Received: none of {missing}")
    texts = {s for e in examples for s in (*e.story[-memory_size:], e.question)}
    rows = {text: encode_sentence(text, ids, sentence_length) for text in texts}
    story = np.zeros((len(examples), memory_size, sentence_length), "int32")
    for array, example in zip(story, examples):
        kept = example.story[-memory_size:]
        if kept:
            array[: len(kept)] = [rows[s] for s in reversed(kept)]
    question = np.array([rows[e.question] for e in examples], "int32")
    return {"story": story, "question": question}, np.array([ids[e.answer.lower()] for e in examples], "int32")
