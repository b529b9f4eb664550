"""Games of text: their format, chances and exact values against brute force and closed forms; the adapter; rollouts."""

import itertools

import gymnasium
import numpy as np
import pytest

from zoo.environments.text_games import NAMES, TextGame, TextWorldAdapter
from zoo.environments.text_rollout import TextRollout

STORY = """A comment.

@ cards: red, blue
@ step: -1
@ start: hall 75, yard 25
# hall
[It rains. / It is dry.] You hold a {red / blue} card.
> Go out. | Leave the hall. -> yard
> Jump. | Take a leap. -> good 50, hall 50 / bad
# yard
A yard.
A second line.
> Wait. | Do nothing. -> yard 20, good 80
> Go in. | Enter the hall. -> hall
= good 10
Well done.
= bad -10
Oh no.
"""


def test_a_story_is_read():
    game = TextGame(STORY, shuffle=False)
    assert game.cards == ["red", "blue"] and game.step_reward == -1 and game.starts == [(0.75, "hall"), (0.25, "yard")]
    assert game.scenes["hall"].actions[1].outcomes == [[(0.5, "good"), (0.5, "hall")], [(1.0, "bad")]]
    assert game.texts() == [
        "It rains. You hold a red card.",
        "It is dry. You hold a red card.",
        "A yard. A second line.",
        "Well done.",
        "Oh no.",
        "It rains. You hold a blue card.",
        "It is dry. You hold a blue card.",
    ]
    assert game.wordings() == ["Go out.", "Jump.", "Wait.", "Go in."] and game.wordings(1)[1] == "Take a leap."
    assert ("It is dry. You hold a blue card.", ["Go out.", "Jump."], "hall", "blue") in game.situations() and len(game.situations()) == 7
    text, info = game.reset(seed=3)
    assert text in game.texts() and info["card"] in text if info["scene"] == "hall" else text == "A yard. A second line."


def test_values_are_those_of_the_equations():
    values = TextGame(STORY).action_values(gamma=0.5)
    # the yard by itself: v = 0.2 (-1 + 0.5 v) + 0.8 * 10
    yard = 7.8 / 0.9
    red = 0.5 * 10 + 0.5 * (-1 + 0.5 * max(-1 + 0.5 * yard, 6.0))
    np.testing.assert_allclose(values["hall", "blue"], [-1 + 0.5 * yard, -10], atol=1e-6)
    np.testing.assert_allclose(values["yard", "red"], [yard, -1 + 0.5 * max(red, -1 + 0.5 * yard)], atol=1e-6)
    # the fixed point of the jump: v = 0.5 * 10 + 0.5 (-1 + 0.5 v)
    np.testing.assert_allclose(values["hall", "red"], [-1 + 0.5 * yard, 4.5 / 0.75], atol=1e-6)


def value_of_policy(game, policy):
    """Expected return by the linear equations of a policy, (scene, card) -> action."""
    places = list(itertools.product(game.scenes, range(len(game.cards))))
    number = {place: i for i, place in enumerate(places)}
    matrix, right = np.eye(len(places)), np.zeros(len(places))
    for (name, card), i in number.items():
        actions = game.scenes[name].actions
        for chance, to in actions[policy[name, card]].outcomes[card] if actions else ():
            matrix[i, number[to, card]] -= chance
            right[i] += chance * (game.scenes[to].reward + game.step_reward * bool(game.scenes[to].actions))
    values = np.linalg.solve(matrix, right)
    return sum(chance * values[number[name, card]] / len(game.cards) for chance, name in game.starts for card in range(len(game.cards)))


def test_the_best_return_is_that_of_the_best_of_all_policies():
    game = TextGame(STORY)
    places = list(itertools.product(("hall", "yard"), (0, 1)))
    returns = []
    for choices in itertools.product((0, 1), repeat=4):
        policy = dict(zip(places, choices))
        # out and in again for ever
        if not any(policy["hall", card] == 0 and policy["yard", card] == 1 for card in (0, 1)):
            returns.append(value_of_policy(game, policy))
    np.testing.assert_allclose(game.expected_return(), max(returns), atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_random_play_earns_what_is_computed(name):
    game, rng, returns = TextGame(name), np.random.default_rng(0), []
    for episode in range(1500):
        text, info = game.reset(seed=0 if episode == 0 else None)
        total, over = 0.0, False
        while not over:
            text, reward, terminated, truncated, info = game.step(rng.integers(len(info["actions"])))
            total, over = total + reward, terminated or truncated
        returns.append(total)
    error = np.std(returns) / len(returns) ** 0.5
    assert abs(np.mean(returns) - game.expected_return("random")) < 4 * error
    assert game.expected_return() > np.mean(returns) + 20


@pytest.mark.parametrize("name", NAMES)
def test_stories_are_sound(name):
    game = TextGame(name)
    reached = {scene for _, scene in game.starts}
    while True:
        leads = {to for s in reached for action in game.scenes[s].actions for outcomes in action.outcomes for _, to in outcomes}
        if leads <= reached:
            break
        reached |= leads
    assert reached == set(game.scenes)
    wordings = [game.wordings(i) for i in range(3)]
    assert len({len(texts) for texts in wordings}) == 1 and not set(wordings[0]) & {*wordings[1], *wordings[2]}
    for scene in game.scenes.values():
        assert len({action.wordings[0] for action in scene.actions}) == len(scene.actions)
    assert all(game.observation_space.contains(text) for text in game.texts()) and isinstance(game, gymnasium.Env)
    assert game.action_space.n == max(len(actions) for _, actions, *_ in game.situations())


def test_the_first_game_is_deterministic_and_the_second_is_not():
    first, second = TextGame("gull_rock"), TextGame("night_courier")
    assert all(len(o) == 1 for s in first.scenes.values() for a in s.actions for o in a.outcomes) and len(first.cards) == 1
    assert any(len(o) > 1 for s in second.scenes.values() for a in s.actions for o in a.outcomes)
    assert len(first.scenes) > 50 and len(second.texts()) > 200


def test_seeds_order_and_wording():
    games = [TextGame("night_courier"), TextGame("night_courier", wording=1)]
    first, second = (game.reset(seed=4) for game in games)
    assert first[0] == second[0] and first[1]["actions"] != second[1]["actions"]
    originals, others = games[0].wordings(), games[0].wordings(1)
    assert [others[originals.index(a)] for a in first[1]["actions"]] == second[1]["actions"]
    orders = {tuple(games[0].reset(seed=i)[1]["actions"]) for i in range(60)}
    fixed = TextGame("night_courier", shuffle=False)
    assert len(orders) > 20 and len({tuple(fixed.reset(seed=i)[1]["actions"]) for i in range(60)}) == 3


def test_limit_of_steps_is_no_end():
    game = TextGame(STORY, max_steps=2)
    seen = set()
    for seed in range(40):
        game.reset(seed=seed)
        _, _, terminated, truncated, info = game.step(0)
        assert not truncated
        if not terminated:
            _, _, terminated, truncated, info = game.step(0)
            assert truncated == (not terminated) == bool(info["actions"])
        seen.add((terminated, truncated))
    assert seen == {(True, False), (False, True)}


@pytest.mark.parametrize(
    "change",
    [
        ("-> yard\n", "-> nowhere\n"),
        ("{red / blue}", "{red / blue / green}"),
        ("50 / bad", "50 / bad / bad"),
        ("Well done.\n", ""),
        ("hall 75", "cellar 75"),
    ],
)
def test_unsound_stories_are_refused(change):
    with pytest.raises(ValueError, match="story"):
        TextGame(STORY.replace(*change))


def test_bad_arguments():
    for arguments, word in (({"story": "unknown"}, "story"), ({"wording": 3}, "wording"), ({"max_steps": 0}, "max_steps")):
        with pytest.raises(ValueError, match=word):
            TextGame(**arguments)
    game = TextGame(STORY)
    game.reset(seed=0)
    with pytest.raises(ValueError, match="action"):
        game.step(2)
    with pytest.raises(ValueError, match="policy"):
        game.action_values(policy="worst")


def test_a_story_from_a_file(tmp_path):
    (tmp_path / "story.txt").write_text(STORY)
    assert TextGame(tmp_path / "story.txt").texts() == TextGame(STORY).texts()


class Engine:
    """Like TextWorld: commands, the score so far, a kitchen to be left by two doors."""

    def reset(self):
        self.room, self.score = 0, 0
        return "Room 0.", {"admissible_commands": ["open door", "look", "sing"], "won": False}

    def step(self, command):
        if command == "open door":
            self.room, self.score = self.room + 1, self.score + 2
        done = self.room == 2
        return f"Room {self.room}.", self.score, done, {"admissible_commands": [] if done else ["look", "open door"], "won": done}


def test_adapter():
    game = TextWorldAdapter(Engine(), max_actions=2, max_steps=3)
    text, info = game.reset(seed=1)
    assert text == "Room 0." and info["actions"] == ["open door", "look"] and info["won"] is False
    assert game.step(0)[:4] == ("Room 1.", 2.0, False, False)
    text, reward, terminated, truncated, info = game.step(1)
    assert (text, reward, terminated, truncated, info["actions"]) == ("Room 2.", 2.0, True, False, [])
    game.reset()
    assert [game.step(1)[3] for _ in range(1)] == [False]
    assert game.step(0)[3] is False and game.step(0)[3] is True
    assert TextWorldAdapter(Engine()).reset()[1]["actions"] == ["open door", "look", "sing"]
    plain = TextWorldAdapter(Engine(), cumulative=False)
    plain.reset()
    assert [plain.step(0)[1], plain.step(1)[1]] == [2.0, 4.0]
    engine = Engine()
    engine.reset = lambda: ("Room 0.", {})
    with pytest.raises(ValueError, match="admissible_commands"):
        TextWorldAdapter(engine).reset()


def ids(states, actions):
    """Texts by their lengths, up to three actions."""
    offered = [[len(action) for action in texts] + [0] * (3 - len(texts)) for texts in actions]
    return {"state": np.array([len(state) for state in states]), "actions": np.array(offered)}


def test_rollout():
    rollout = TextRollout([TextGame(STORY, max_steps=4), TextGame(STORY, max_steps=4)], ids, seed=5)
    lengths, totals = [0, 0], [0.0, 0.0]
    again = TextRollout([TextGame(STORY), TextGame(STORY)], ids, seed=5)
    assert again.states == rollout.states and again.actions == rollout.actions
    rng = np.random.default_rng(0)
    ends = 0
    for _ in range(60):
        before, states = rollout.observations, list(rollout.states)
        transitions, ended = rollout.step(rng.integers(2, size=2))
        np.testing.assert_array_equal(transitions["state"], before["state"])
        np.testing.assert_array_equal(transitions["state"], [len(s) for s in states])
        np.testing.assert_array_equal(transitions["next_state"], [len(s) for s in rollout.reached])
        np.testing.assert_array_equal(transitions["next_actions"].any(1), transitions["terminated"] == 0)
        for i in (0, 1):
            lengths[i], totals[i] = lengths[i] + 1, totals[i] + transitions["reward"][i]
            over = bool(transitions["terminated"][i] + transitions["truncated"][i])
            assert over == (i in [game for game, *_ in ended])
            if over:
                ends += 1
                assert (i, totals[i], lengths[i]) in ended and rollout.actions[i]
                lengths[i], totals[i] = 0, 0.0
        np.testing.assert_array_equal(rollout.observations["actions"], ids(rollout.states, rollout.actions)["actions"])
    assert ends > 20
    for env in (None, [], [object()], gymnasium.make("CartPole-v1")):
        with pytest.raises(ValueError, match="env"):
            TextRollout(env, ids)
