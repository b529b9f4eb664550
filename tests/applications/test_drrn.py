"""DRRN against NumPy: values of each network from counts of words, updates, targets, draws; and a game that it solves."""

from functools import lru_cache

import keras
import numpy as np
import pytest
from keras import ops
from scipy import stats
from scipy.special import softmax

from zoo.applications.drrn import DRRN, NO_ACTION
from zoo.environments.text_games import TextGame
from zoo.text import learn_vocabulary, tokenize

STATES, ACTIONS = ["The storm, the lamp.", "Mara! Oil and oil"], [["Ring the bell.", "oil up up"], ["the lamp", "sleep", "up"]]
STORY = """# gate
A gate and a dog.
> Feed the dog. | Give the dog food. -> garden
> Kick the dog. | Hit the dog. -> bitten
# garden
A garden with a well.
> Drink from the well. | Drink well water. -> gate
> Feed the fish. | Give the fish food. -> gold
= bitten -1
The dog bites.
= gold 2
The fish spits gold.
"""


def agent(**arguments):
    keras.utils.set_random_seed(0)
    return DRRN(**{**DRRN.example_config(), "activation": "tanh", "replay": "uniform", **arguments})


def counts(texts, vocabulary):
    return np.array([[words_of(text).count(word) for word in vocabulary] for text in texts], "float64")


@lru_cache
def words_of(text):
    return tokenize([text])[0]


def weights_of(model):
    """Name of a layer -> its weights as float64."""
    named = [layer for layer in model.q_network.layers if layer.weights]
    return {layer.name: [ops.convert_to_numpy(w).astype("float64") for w in layer.weights] for layer in named}


def expected(model, w, states, actions):
    """Values in NumPy, from counts of words."""
    x = counts(states, model.state_vocabulary)
    values = np.full((len(states), model.max_actions), NO_ACTION)
    size = len(model.action_vocabulary)
    for i, offered in enumerate(actions):
        if not offered:
            continue
        a = counts(offered, model.action_vocabulary)
        first = x[i] @ w["state_words"][0] + w["state_words"][1]
        if model.network == "drrn":
            h, g = np.tanh(first), np.tanh(a @ w["action_words"][0] + w["action_words"][1])
            for layer in range(2, len(model.hidden) + 1):
                h, g = (np.tanh(z @ w[f"{n}_hidden_{layer}"][0] + w[f"{n}_hidden_{layer}"][1]) for z, n in ((h, "state"), (g, "action")))
            if model.interaction == "concat":
                joint = np.tanh(np.concatenate([np.tile(h, (len(a), 1)), g], 1) @ w["interaction"][0] + w["interaction"][1])
                q = (joint @ w["value"][0] + w["value"][1])[:, 0]
            else:
                q = g @ (h @ w["interaction"][0] if model.interaction == "bilinear" else h)
        elif model.network == "per_action_dqn":
            z = first + a @ w["action_words"][0]
            for layer in range(1, len(model.hidden) + 1):
                z = np.tanh(z if layer == 1 else z @ w[f"joint_hidden_{layer}"][0] + w[f"joint_hidden_{layer}"][1])
            q = (z @ w["value"][0] + w["value"][1])[:, 0] if model.hidden else z[:, 0]
        else:
            z = first + sum(a[j] @ w["action_words"][0][j * size : (j + 1) * size] for j in range(len(a)))
            for layer in range(1, len(model.hidden) + 1):
                z = np.tanh(z if layer == 1 else z @ w[f"joint_hidden_{layer}"][0] + w[f"joint_hidden_{layer}"][1])
            q = (z @ w["values"][0] + w["values"][1] if model.hidden else z)[: len(a)]
        values[i, : len(offered)] = q
    return values


KINDS = [
    {"interaction": "inner", "hidden": (5,)},
    {"interaction": "inner", "hidden": (6, 5)},
    {"interaction": "bilinear", "hidden": (6, 5)},
    {"interaction": "concat", "hidden": (6, 5, 4)},
    {"network": "per_action_dqn", "hidden": (6, 5)},
    {"network": "per_action_dqn", "hidden": ()},
    {"network": "max_action_dqn", "hidden": (6, 5)},
    {"network": "max_action_dqn", "hidden": ()},
]


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: "-".join(map(str, k.values())))
def test_values_are_those_of_counted_words(kind):
    model = agent(**kind)
    rng = np.random.default_rng(0)
    model.q_network.set_weights([rng.normal(0, 0.7, w.shape) for w in model.q_network.weights])
    found = model.predict(model.encode(STATES, ACTIONS), verbose=0)
    np.testing.assert_allclose(found, expected(model, weights_of(model), STATES, ACTIONS), rtol=1e-4, atol=1e-5)
    # the order of actions matters to the network that takes all of them at once, and to no other
    turned = model.predict(model.encode(STATES[1:], [ACTIONS[1][::-1]]), verbose=0)[0, 2::-1]
    assert np.allclose(turned, found[1, :3], atol=1e-4) == (model.network != "max_action_dqn")


def test_a_network_of_one_layer_has_the_papers_parameters():
    model = agent(hidden=(5,), interaction="inner")
    assert model.q_network.count_params() == 5 * (7 + 1) + 5 * (6 + 1)


def experience(model, n, seed=0):
    """Transitions of states with words in random order, one in four an end without actions."""
    rng = np.random.default_rng(seed)
    draw = {"state": model.state_vocabulary, "action": model.action_vocabulary}

    def text(kind):
        return " ".join(rng.choice(draw[kind], 4))

    states, following = [text("state") for _ in range(n)], [text("state") for _ in range(n)]
    offered = [[text("action") for _ in range(rng.integers(1, 5))] for _ in range(n)]
    terminated = np.arange(n) % 4 == 0
    next_offered = [[] if over else [text("action") for _ in range(rng.integers(1, 5))] for over in terminated]
    texts = (states, offered, following, next_offered)
    chosen = np.array([rng.integers(len(actions)) for actions in offered], "int32")
    return texts, chosen, rng.normal(0, 3, n).astype("float32"), terminated.astype("float32")


def fill(model, n):
    (states, offered, following, next_offered), action, reward, terminated = data = experience(model, n)
    now, later = model._ids(states, offered), model._ids(following, next_offered)
    arrays = {**now, **{f"next_{k}": v for k, v in later.items()}, "action": action, "reward": reward, "terminated": terminated}
    arrays.update(truncated=np.zeros(n), env=np.arange(n))
    model.steps.assign(n)
    model._experience(arrays, n)
    return data


def squared_errors(model, w, fixed, data):
    """TD errors, with targets by the weights `fixed`."""
    (states, offered, following, next_offered), action, reward, terminated = data
    best = expected(model, fixed, following, next_offered).max(1)
    target = reward + np.where(terminated, 0.0, model.gamma * best)
    return target - expected(model, w, states, offered)[np.arange(len(action)), action]


@pytest.mark.parametrize("kind", [KINDS[1], KINDS[3], KINDS[6]], ids=lambda k: "-".join(map(str, k.values())))
def test_one_update_follows_the_numerical_gradient(kind):
    model = agent(**kind, batch_size=12, buffer_size=12, learning_starts=1000, gamma=0.7)
    model.compile(optimizer=keras.optimizers.SGD(0.1))
    data = fill(model, 12)
    model.memory._draw = lambda n: (np.arange(n), np.full(n, 1 / n))
    before = weights_of(model)
    logs = model._learn()
    errors = squared_errors(model, before, before, data)
    np.testing.assert_allclose([logs["loss"], logs["td_error"]], [np.mean(errors**2), np.mean(np.abs(errors))], rtol=1e-4)
    for name, after in weights_of(model).items():
        for k, array in enumerate(after):
            place = np.unravel_index(np.argmax(np.abs(array - before[name][k])), array.shape)
            losses = []
            for shift in (1e-4, -1e-4):
                moved = {n: [a.copy() for a in arrays] for n, arrays in before.items()}
                moved[name][k][place] += shift
                losses.append(np.mean(squared_errors(model, moved, before, data) ** 2))
            slope = (losses[0] - losses[1]) / 2e-4
            np.testing.assert_allclose((array - before[name][k])[place], -0.1 * slope, rtol=2e-3, atol=1e-6)


@pytest.mark.parametrize("replay", ["proportional", "rank"])
def test_prioritized_replay_learns_the_errors(replay):
    model = agent(replay=replay, batch_size=16, buffer_size=16, learning_starts=1000, hidden=(5,), interaction="inner")
    model.compile(optimizer=keras.optimizers.SGD(0.0))
    data = fill(model, 16)
    for _ in range(20):
        model._learn()
    w = weights_of(model)
    errors = np.abs(squared_errors(model, w, w, data))
    if replay == "rank":
        seen = np.isfinite(model.memory.order[np.arange(16)])
        np.testing.assert_allclose(model.memory.order[np.arange(16)][seen], errors[seen], rtol=1e-3)
        assert seen.sum() > 10
    else:
        np.testing.assert_allclose(model.memory.tree[np.arange(16)], (errors + model.memory.floor) ** model.memory.alpha, rtol=1e-3)


def test_updates_come_when_due():
    model = agent(learning_starts=10, replay_period=5)
    model.fit([TextGame("gull_rock")] * 1, 9, verbose=0)
    assert int(model.optimizer.iterations) == 0
    history = model.fit([TextGame("gull_rock") for _ in range(3)], 21, verbose=0).history
    assert int(model.optimizer.iterations) == 30 // 5 - 10 // 5 and history["steps"] == [30]
    assert len(model.memory) == 30


def test_draws_follow_the_softmax():
    model = agent(hidden=(8,), interaction="inner")
    model.q_network.set_weights([np.random.default_rng(1).normal(0, 1, w.shape) for w in model.q_network.weights])
    x = model.encode(STATES, ACTIONS)
    values = model.predict(x, verbose=0)
    assert model.act(STATES[0], ACTIONS[0]) == values[0].argmax() and isinstance(model.act(STATES[0], ACTIONS[0]), int)
    many = {name: np.repeat(array[1:], 6000, 0) for name, array in x.items()}
    for alpha in (0.0, 0.7):
        drawn = np.bincount(model._choose(many, alpha=alpha), minlength=4)
        chances = softmax(alpha * values[1, :3].astype("float64"))
        assert drawn[3] == 0 and stats.chisquare(drawn[:3], 6000 * chances).pvalue > 1e-3
    drawn = np.bincount(model._choose(many, epsilon=0.3), minlength=4)
    chances = np.full(3, 0.1) + 0.7 * (np.arange(3) == values[1].argmax())
    assert drawn[3] == 0 and stats.chisquare(drawn[:3], 6000 * chances).pvalue > 1e-3


@pytest.mark.parametrize("exploration", ["softmax", "epsilon"])
def test_exploration(exploration):
    model = agent(exploration=exploration, alpha=0.3, epsilon=0.4)
    how = {}
    model._choose = lambda observations, **given: how.update(given) or np.zeros(len(observations), int)
    model._explore(model.encode(STATES, ACTIONS))
    assert how == ({"alpha": 0.3} if exploration == "softmax" else {"epsilon": 0.4})


@pytest.mark.parametrize("kind", [KINDS[1], KINDS[2], KINDS[4], KINDS[6]], ids=lambda k: "-".join(map(str, k.values())))
def test_learns_the_exact_values_of_a_small_game(kind):
    game = TextGame(STORY, shuffle=False)
    model = agent(
        state_vocabulary=learn_vocabulary(game.texts()),
        action_vocabulary=learn_vocabulary(game.wordings()),
        **{**kind, "hidden": (16, 16)},
        alpha=0.0,
        gamma=0.8,
        batch_size=32,
        buffer_size=400,
        learning_starts=32,
    )
    model.compile(optimizer=keras.optimizers.SGD(0.05))
    model.fit([TextGame(STORY, shuffle=False) for _ in range(8)], 1000, verbose=0, seed=1)
    truth = game.action_values(gamma=0.8)
    found = model.predict(
        model.encode(["A gate and a dog.", "A garden with a well."], [game.wordings()[:2], game.wordings()[2:]]), verbose=0
    )
    np.testing.assert_allclose(found[:, :2], [truth["gate", ""], truth["garden", ""]], atol=0.15)
    assert model.evaluate([game], episodes=3)["mean_return"] == 2.0
    turns = model.play(game, seed=0)
    assert [turn.reward for turn in turns] == [0.0, 2.0, 0.0] and turns[-1].state == "The fish spits gold." and turns[-1].actions == []
    assert [turn.actions[turn.action] for turn in turns[:-1]] == ["Feed the dog.", "Feed the fish."]
    np.testing.assert_allclose(turns[0].q_values, found[0, :2], rtol=1e-4)
    shown = model.transcript(game, seed=0)
    assert "A gate and a dog." in shown and f"> {found[0, 0]:8.2f}  Feed the dog." in shown and "reward 2" in shown


def test_served_texts_are_encoded_texts():
    model = agent(interaction="inner")
    if keras.backend.backend() == "tensorflow":
        texts = {"state": ops.convert_to_tensor(STATES), "actions": ops.convert_to_tensor([[*a, *[""] * (4 - len(a))] for a in ACTIONS])}
        served = model.signatures()["serve"][0](texts)
        np.testing.assert_allclose(served["q_values"], model.predict(model.encode(STATES, ACTIONS), verbose=0), rtol=1e-5)
        assert [int(a) for a in served["action"]] == [model.act(s, a) for s, a in zip(STATES, ACTIONS)]


def test_unknown_words_do_not_count_and_empty_actions_are_refused():
    model = agent(interaction="inner")
    values = model.predict(model.encode(["Mara zzz oil"] * 2, [["bell", "bell qqq", "qqq"], ["bell"]]), verbose=0)
    assert values[0, 0] == values[0, 1] and values[0, 2] > NO_ACTION and values[1, 1] == np.float32(NO_ACTION)
    for bad in ([["bell", ""]], [[]], [["a"] * 5], ["bell"], "bell", [["bell"], ["bell"]]):
        with pytest.raises(ValueError, match="actions"):
            model.encode(["Mara"], bad)
    with pytest.raises(ValueError, match="`states` must be a list of strings"):
        model.encode([3], [["bell"]])


def test_bad_arguments():
    for name, value in (
        ("network", "dqn"),
        ("interaction", "sum"),
        ("exploration", "greedy"),
        ("replay", "none"),
        ("gamma", 1.5),
        ("alpha", -1),
        ("hidden", ()),
        ("batch_size", 0),
    ):
        with pytest.raises(ValueError, match=name):
            agent(**{name: value})
    with pytest.raises(ValueError, match="env"):
        agent().fit("gull_rock", 10)
    with pytest.raises(ValueError, match="max_actions"):
        agent(max_actions=2).fit(TextGame("gull_rock"), 10)
    with pytest.raises(ValueError, match="vocabulary"):
        agent(state_vocabulary=[])
