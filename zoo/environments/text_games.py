"""Games of text with choices, gymnasium style: a state is a text, an action is one of the texts that are offered there.

Two stories, written for zoo, follow the games of He et al. 2015, "Deep Reinforcement Learning with a Natural Language Action Space",
arXiv 1511.04636, section 4.1: `gull_rock` in the manner of Saving John (deterministic, the ending alone counts), `night_courier` in the
manner of Machine of Death (chance, descriptions that change, a small cost of each step). Every action is worded three times, for trials
with paraphrases. `TextGame` plays any file in their format:

    @ cards: glass, kitten              one of them is dealt at the start of an episode (optional)
    @ step: -0.1                        reward of a step (optional, 0)
    @ start: depot 70, pier 30          scenes to start from, and their chances (optional, the first scene)
    # depot                             a scene, and its text
    [It rains. / A dog barks.] You carry {glass / a kitten}.        [ / ] is chosen at random, { / } by the card
    > Run. | Run away. -> broken 70, pier 30 / pier                 an action, its other wordings, and where it leads, by the card
    = broken -20                        an ending, its reward, and its text

Lines before the first of these are a comment.
"""

import itertools
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

try:
    import gymnasium
except ImportError as error:
    raise ImportError("Environments need gymnasium: pip install 'zoo-keras[rl]'") from error

STORIES = Path(__file__).parent / "games"
NAMES = tuple(sorted(file.stem for file in STORIES.glob("*.txt")))


class Action(NamedTuple):
    """What one may do in a scene.

    Args:
        wordings: texts that say it.
        outcomes: for each card a list of (chance, scene).
    """

    wordings: list
    outcomes: list


class Scene(NamedTuple):
    """A place of a story.

    Args:
        text: with its alternatives.
        actions: list of `Action`; empty for an ending.
        reward: of reaching it, without that of the step.
    """

    text: str
    actions: list
    reward: float = 0.0


class TextGame(gymnasium.Env):
    """A story: `reset` and `step(number of an action)` give a text, and `info["actions"]` the texts of the actions that it offers.

    Args:
        story: `"gull_rock"`, `"night_courier"`, the path of a file, or a story as text.
        wording: which wording of the actions is shown, from 0.
        shuffle: whether actions come in a new random order each time.
        max_steps: an episode is truncated after so many steps.

    Raises:
        ValueError: if the story cannot be read, leads nowhere, or has no such wording.
    """

    def __init__(self, story="gull_rock", wording=0, shuffle=True, max_steps=100):
        self.story, self.wording, self.shuffle, self.max_steps = story, wording, shuffle, max_steps
        self.cards, self.step_reward, self.starts, self.scenes = _read(_source(story))
        fewest = min(len(action.wordings) for scene in self.scenes.values() for action in scene.actions)
        if not 0 <= wording < fewest or max_steps < 1:
            raise ValueError(f"`wording` must be from 0 to {fewest - 1} and `max_steps` at least 1. Received: {wording} and {max_steps}")
        texts = self.texts()
        self.observation_space = gymnasium.spaces.Text(max(map(len, texts)), min_length=1, charset="".join(sorted(set("".join(texts)))))
        self.action_space = gymnasium.spaces.Discrete(max(len(scene.actions) for scene in self.scenes.values()))

    # --- playing ---

    def reset(self, *, seed=None, options=None):
        """Deal a card and start.

        Args:
            seed: of all chances of this episode and the following ones.
            options: not used.

        Returns:
            The text, and a dict with `actions`, a list of texts; `scene` and `card`, which a player should not look at.
        """
        super().reset(seed=seed)
        self._card, self._steps = int(self.np_random.integers(len(self.cards))), 0
        return self._enter(self._drawn(self.starts))

    def step(self, action):
        """Do what the text `info["actions"][action]` says; returns (text, reward, terminated, truncated, info).

        Raises:
            ValueError: if there is no such action.
        """
        if not 0 <= action < len(self._order):
            raise ValueError(f"`action` must be from 0 to {len(self._order) - 1} here. Received: {action}")
        outcomes = self.scenes[self._name].actions[self._order[int(action)]].outcomes[self._card]
        text, info = self._enter(self._drawn(outcomes))
        self._steps += 1
        ended = not info["actions"]
        reward = self.step_reward * (not ended) + self.scenes[self._name].reward
        return text, reward, ended, not ended and self._steps >= self.max_steps, info

    def _enter(self, name):
        self._name, scene = name, self.scenes[name]
        self._order = self.np_random.permutation(len(scene.actions)) if self.shuffle else np.arange(len(scene.actions))
        text = _chosen(r"\{(.*?)\}", scene.text, lambda parts: parts[self._card])
        text = _chosen(r"\[(.*?)\]", text, lambda parts: parts[self.np_random.integers(len(parts))])
        actions = [scene.actions[i].wordings[self.wording] for i in self._order]
        return text, {"actions": actions, "scene": name, "card": self.cards[self._card]}

    def _drawn(self, outcomes):
        if len(outcomes) == 1:
            return outcomes[0][1]
        return outcomes[int(np.searchsorted(np.cumsum([chance for chance, _ in outcomes]), self.np_random.random(), side="right"))][1]

    # --- what can be known about the game ---

    def situations(self):
        """All that a player can come to.

        Returns:
            List of (text, texts of actions in the order of the story, scene, card), one for each text that a scene can have with a card;
            an ending has no actions.
        """
        found = {}
        for card, name in itertools.product(range(len(self.cards)), self.scenes):
            scene = self.scenes[name]
            actions = [action.wordings[self.wording] for action in scene.actions]
            text = _chosen(r"\{(.*?)\}", scene.text, lambda parts, card=card: parts[card])
            brackets = [range(len(part.split("/"))) for part in re.findall(r"\[(.*?)\]", text)]
            for numbers in itertools.product(*brackets):
                following = iter(numbers)
                full = _chosen(r"\[(.*?)\]", text, lambda parts, following=following: parts[next(following)])
                found.setdefault((full, name), (full, actions, name, self.cards[card]))
        return list(found.values())

    def texts(self):
        """All texts that a state can have, endings included."""
        return list(dict.fromkeys(text for text, *_ in self.situations()))

    def wordings(self, wording=None):
        """All texts that an action can have, in this game's wording or another one."""
        number = self.wording if wording is None else wording
        return list(dict.fromkeys(action.wordings[number] for scene in self.scenes.values() for action in scene.actions))

    def action_values(self, gamma=1.0, policy="best", tolerance=1e-9):
        """Exact values of all actions by dynamic programming, without the limit of steps.

        Args:
            gamma: discount factor.
            policy: `"best"`, or `"random"` for one that takes all actions equally often.
            tolerance: largest change of the last sweep.

        Returns:
            Dict (scene, card) -> array with a value for each action, in the order of the story.
        """
        if policy not in ("best", "random"):
            raise ValueError(f"`policy` must be 'best' or 'random'. Received: {policy!r}")
        places = [(name, card) for card in range(len(self.cards)) for name in self.scenes]
        numbers = {place: i for i, place in enumerate(places)}
        rows = [(place, action.outcomes[place[1]]) for place in places for action in self.scenes[place[0]].actions]
        leads, rewards = np.zeros((len(rows), len(places))), np.zeros(len(rows))
        for row, (place, outcomes) in enumerate(rows):
            for chance, name in outcomes:
                scene = self.scenes[name]
                leads[row, numbers[name, place[1]]] += chance
                rewards[row] += chance * (scene.reward + self.step_reward * bool(scene.actions))
        owners = np.array([numbers[place] for place, _ in rows])
        first = np.flatnonzero(np.diff(owners, prepend=-1))
        counts = np.diff(np.append(first, len(rows)))
        values, change = np.zeros(len(places)), np.inf
        while change > tolerance:
            of_actions = rewards + gamma * leads @ values
            new = np.maximum.reduceat(of_actions, first) if policy == "best" else np.add.reduceat(of_actions, first) / counts
            change = np.abs(values[owners[first]] - new).max()
            values[owners[first]] = new
        parts = np.split(of_actions, first[1:])
        return {(places[owners[i]][0], self.cards[places[owners[i]][1]]): part for i, part in zip(first, parts)}

    def expected_return(self, policy="best"):
        """Mean return over starts and cards of the best policy, or of random play; see `action_values`."""
        values = self.action_values(policy=policy)
        of_scenes = {place: part.max() if policy == "best" else part.mean() for place, part in values.items()}
        return float(sum(chance * np.mean([of_scenes[name, card] for card in self.cards]) for chance, name in self.starts))


class TextWorldAdapter:
    """A TextWorld-like engine as a game with choices: the commands that it admits are the actions.

    The engine's `reset()` gives `(text, info)`, its `step(command)` gives `(text, reward, done, info)`, where the reward may be the score
    so far, as in TextWorld; `info["admissible_commands"]` lists commands.

    Args:
        engine: such an object, for instance of `textworld.gym.make` with `EnvInfos(admissible_commands=True)`.
        cumulative: whether the engine gives the score so far instead of a reward.
        max_actions: commands beyond so many are not offered; `None` offers all.
        max_steps: an episode is truncated after so many steps; a limit of the engine's own passes for an end. `None` is no limit.
    """

    def __init__(self, engine, cumulative=True, max_actions=None, max_steps=None):
        self.engine, self.cumulative, self.max_actions, self.max_steps = engine, cumulative, max_actions, max_steps

    def reset(self, *, seed=None, options=None):
        """Start; the engine's own seeds rule."""
        text, info = self.engine.reset()
        self._score, self._steps = 0.0, 0
        return text, self._with_actions(info)

    def step(self, action):
        """Send the command `info["actions"][action]`; returns (text, reward, terminated, truncated, info)."""
        text, score, done, info = self.engine.step(self._actions[int(action)])
        reward, self._score, self._steps = float(score) - self._score * self.cumulative, float(score), self._steps + 1
        info = self._with_actions(info)
        # where nothing can be done the game is over
        ended = bool(done) or not self._actions
        return text, reward, ended, not ended and self._steps == self.max_steps, info

    def _with_actions(self, info):
        if "admissible_commands" not in info:
            raise ValueError(f"`engine` must give `admissible_commands` in its info. Received: {sorted(info)}")
        self._actions = list(info["admissible_commands"])[: self.max_actions]
        return {**info, "actions": self._actions}


def _source(story):
    """The text of a story that is given by name, path or itself."""
    if story in NAMES:
        return (STORIES / f"{story}.txt").read_text(encoding="utf-8")
    if isinstance(story, str) and "\n" in story:
        return story
    if not isinstance(story, (str, Path)) or not Path(story).is_file():
        raise ValueError(f"`story` must be one of {NAMES}, the path of a file, or a story as text. Received: {str(story)[:100]!r}")
    return Path(story).read_text(encoding="utf-8")


def _read(source):
    """Cards, reward of a step, starts and scenes of a story."""
    settings, scenes = {}, {}
    for line in source.splitlines():
        mark, rest = line[:1], line[1:].strip()
        if mark == "@":
            name, _, value = rest.partition(":")
            settings[name.strip()] = value.strip()
        elif mark == "#":
            scene = scenes[rest] = Scene([], [])
        elif mark == "=":
            name, reward = rest.rsplit(" ", 1)
            scene = scenes[name] = Scene([], [], float(reward))
        elif mark == ">":
            scene.actions.append(rest)
        elif scenes and line.strip():
            scene.text.append(line.strip())
    cards = [card.strip() for card in settings.get("cards", "").split(",")]
    scenes = {
        name: Scene(" ".join(scene.text), [_action(line, len(cards)) for line in scene.actions], scene.reward)
        for name, scene in scenes.items()
    }
    if not scenes:
        raise ValueError("`story` must hold scenes. Received: none")
    starts = _outcomes(settings.get("start", next(iter(scenes))))
    _check(scenes, starts, len(cards))
    return cards, float(settings.get("step", 0.0)), starts, scenes


def _action(line, cards):
    wordings, _, leads = line.partition("->")
    outcomes = [_outcomes(part) for part in leads.split("/")]
    return Action([wording.strip() for wording in wordings.split("|")], outcomes * (cards if len(outcomes) == 1 else 1))


def _outcomes(text):
    """(chance, scene) from `"a"` or `"a 70, b 30"`."""
    pairs = [part.split() for part in text.split(",")]
    chances = np.array([float(pair[1]) if len(pair) > 1 else 100.0 for pair in pairs])
    return [(float(chance), pair[0]) for chance, pair in zip(chances / chances.sum(), pairs)]


def _check(scenes, starts, cards):
    for name, scene in scenes.items():
        if not scene.text:
            raise ValueError(f"`story` must give each scene a text. Received: none for {name!r}")
        for part in re.findall(r"\{(.*?)\}", scene.text):
            if len(part.split("/")) != cards:
                raise ValueError(f"`story` must give {cards} alternatives, one a card. Received: {part!r} in {name!r}")
        for action in scene.actions:
            if len(action.outcomes) != cards:
                raise ValueError(f"`story` must say where an action leads for {cards} cards. Received: {action.wordings[0]!r} in {name!r}")
    lead = {to for scene in scenes.values() for action in scene.actions for outcomes in action.outcomes for _, to in outcomes}
    unknown = (lead | {name for _, name in starts}) - set(scenes)
    if unknown or not any(scene.actions for scene in scenes.values()):
        raise ValueError(f"`story` must lead to scenes that it holds, from one with actions. Received: {sorted(unknown) or 'no actions'}")


def _chosen(pattern, text, choose):
    """`text` with one of the alternatives in each bracket that `pattern` finds."""
    return re.sub(pattern, lambda match: choose(match[1].split("/")).strip(), text)
