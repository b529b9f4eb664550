"""The replay memories and Blind Cliffwalk against brute force and closed forms."""

import numpy as np
import pytest
from scipy import stats

from zoo.environments.replay_buffers import ProportionalReplay, RankReplay, SortedOrder, SumTree, UniformReplay

FIELDS = {"observation": ((2,), "float32"), "action": ((), "int32")}
KINDS = {"uniform": UniformReplay, "proportional": ProportionalReplay, "rank": RankReplay}


def rows(start, n):
    numbers = np.arange(start, start + n)
    return {"observation": np.stack([numbers, -numbers], 1).astype("float32"), "action": numbers.astype("int32")}


def fits(counts, probabilities):
    """Whether a chi-square test lets `counts` be drawn by `probabilities`."""
    return stats.chisquare(counts, probabilities / probabilities.sum() * counts.sum()).pvalue > 1e-3


@pytest.mark.parametrize("size", [1, 5, 64, 65, 5000, 300_000])
def test_sum_tree_finds_what_cumulative_sums_find(size):
    rng, tree, values = np.random.default_rng(size), SumTree(size), np.zeros(size)
    for _ in range(20):
        indices = rng.integers(size, size=min(size, 1000))
        new = rng.integers(0, 9, len(indices)).astype("float64")
        tree[indices] = values[indices] = new
    tree[indices[:1]] = values[indices[:1]] = 3.0
    assert tree.total == values.sum()
    shares = rng.random(500)
    found, probabilities = tree.find(shares)
    np.testing.assert_array_equal(found, np.searchsorted(np.cumsum(values), shares * values.sum(), side="right"))
    np.testing.assert_allclose(probabilities, values[found] / values.sum())
    np.testing.assert_array_equal(tree[indices], values[indices])


@pytest.mark.parametrize("size", [1000, 2000])
def test_sum_tree_never_finds_an_empty_place(size):
    tree = SumTree(size)
    tree[np.arange(3)] = np.array([0.1, 0.2, 0.3])
    edges = np.array([0.0, 1 / 6, 0.5, 1.0, np.nextafter(1.0, 0)])
    assert tree.find(edges)[0].tolist() == [0, 1, 2, 2, 2]


@pytest.mark.parametrize("size", [3, 500, 20_000])
def test_sorted_order_is_a_sort(size):
    rng, order = np.random.default_rng(size), SortedOrder(size)
    values = np.full(size, np.nan)
    for _ in range(60):
        places = rng.integers(size, size=rng.integers(1, size // (3 if rng.random() < 0.3 else 20) + 2))
        order[places] = values[places] = rng.random(len(places), "float32")
        known = np.flatnonzero(~np.isnan(values))
        expected = known[np.argsort(-values[known], kind="stable")]
        np.testing.assert_array_equal(order.select(np.arange(len(known))), expected)
    np.testing.assert_array_equal(order[known], values[known])


def test_sorted_order_with_equal_values_splits_and_runs_out_of_room():
    rng, order, values = np.random.default_rng(0), SortedOrder(5000), np.zeros(5000)
    for start in range(0, 60_000, 40):
        # new places first, as a memory adds them, and values that keep to a narrow range
        new, drawn = np.arange(start, start + 40) % 5000, rng.integers(min(start + 40, 5000), size=100)
        order[new] = values[new] = np.inf
        order[drawn] = values[drawn] = np.minimum(rng.random(100, "float32") + start / 60_000, 1)
    np.testing.assert_array_equal(order.select(np.arange(5000)), np.argsort(-values, kind="stable"))


def test_proportional_draws_and_weights():
    memory = ProportionalReplay(50, FIELDS, alpha=0.7, floor=0.01, seed=0)
    memory.add(**rows(0, 40))
    errors = np.random.default_rng(1).normal(size=40)
    memory.update(np.arange(40), errors)
    p = (np.abs(errors) + 0.01) ** 0.7 / np.sum((np.abs(errors) + 0.01) ** 0.7)
    batches = [memory.sample(16, beta=0.4) for _ in range(2000)]
    assert fits(np.bincount(np.concatenate([b.indices for b in batches]), minlength=40), p)
    batch = batches[0]
    np.testing.assert_allclose(batch.probabilities, p[batch.indices])
    weights = (40 * p[batch.indices]) ** -0.4
    np.testing.assert_allclose(batch.weights, weights / weights.max(), rtol=1e-6)
    np.testing.assert_array_equal(batch.transitions["action"], batch.indices)
    # one draw from each of sixteen equal ranges of the total
    np.testing.assert_array_equal(np.searchsorted(np.linspace(0, 1, 17)[1:], np.cumsum(p)[batch.indices] - 1e-12) >= np.arange(16), True)
    assert np.all(np.diff(batch.indices) >= 0)


@pytest.mark.parametrize("alpha", [0.6, 0.0])
def test_without_a_floor_and_without_any_error_all_are_drawn_equally(alpha):
    memory = ProportionalReplay(10, FIELDS, alpha=alpha, floor=0.0, seed=0)
    memory.add(**rows(0, 6))
    memory.update(np.arange(6), np.zeros(6))
    batches = [memory.sample(8, beta=0.4) for _ in range(500)]
    assert fits(np.bincount(np.concatenate([b.indices for b in batches]), minlength=6), np.ones(6))
    np.testing.assert_allclose(batches[0].probabilities, 1 / 6)
    np.testing.assert_array_equal(batches[0].weights, 1.0)
    memory.update([4], [0.5])
    if alpha:
        assert set(memory.sample(8).indices) == {4}
    with pytest.raises(ValueError, match="`floor`"):
        ProportionalReplay(10, FIELDS, floor=-1.0)


def test_rank_draws_by_segments():
    memory = RankReplay(300, FIELDS, alpha=0.6, seed=0)
    memory.add(**rows(0, 100))
    errors = np.random.default_rng(1).normal(size=100)
    memory.update(np.arange(100), errors)
    ranks = stats.rankdata(-np.abs(errors))
    p = ranks**-0.6 / np.sum(ranks**-0.6)
    batches = [memory.sample(10, beta=0.5) for _ in range(3000)]
    assert fits(np.bincount(np.concatenate([b.indices for b in batches]), minlength=100), p)
    batch = batches[0]
    np.testing.assert_allclose(batch.probabilities, p[batch.indices])
    weights = (100 * p[batch.indices]) ** -0.5
    np.testing.assert_allclose(batch.weights, weights / weights.max(), rtol=1e-6)
    # draw j lies in the j-th tenth of the probability, from the top rank down
    until = np.cumsum(np.sort(p)[::-1])
    for b in batches[:50]:
        rank = ranks[b.indices].astype(int) - 1
        segment = np.arange(10) / 10
        assert np.all(until[rank] >= segment - 1e-12) and np.all(until[rank] - p[b.indices] <= segment + 0.1 + 1e-12)


@pytest.mark.parametrize("kind", ["proportional", "rank"])
def test_new_transitions_come_first_and_errors_reorder(kind):
    memory = KINDS[kind](64, FIELDS, alpha=30.0, seed=0)
    memory.add(**rows(0, 32))
    memory.update(np.arange(32), np.linspace(0.1, 0.9, 32))
    memory.add(**rows(32, 1))
    assert set(memory.sample(8).indices) == {32}
    memory.update([32], [0.01])
    memory.update([7], [-5.0])
    assert set(memory.sample(8).indices) == {7}
    # the largest priority so far is what a new transition gets, ties included
    if kind == "proportional":
        memory.add(**rows(33, 1))
        np.testing.assert_allclose(memory.tree[33], memory.tree[7])


@pytest.mark.parametrize("kind", KINDS)
def test_ring_wraps_around(kind):
    memory = KINDS[kind](10, FIELDS, seed=0)
    for start in range(0, 24, 4):
        memory.add(**rows(start, 4))
    assert len(memory) == 10
    seen = set(np.concatenate([memory.sample(8).transitions["action"] for _ in range(200)]).tolist())
    assert seen == set(range(14, 24))
    batch = memory.sample(5)
    np.testing.assert_array_equal(batch.transitions["observation"][:, 1], -batch.transitions["action"])


def test_uniform_draws():
    memory = UniformReplay(20, FIELDS, seed=0)
    memory.add(**rows(0, 20))
    batches = [memory.sample(8) for _ in range(500)]
    assert fits(np.bincount(np.concatenate([b.indices for b in batches]), minlength=20), np.full(20, 0.05))
    assert np.all(batches[0].weights == 1)


@pytest.mark.parametrize("kind", KINDS)
def test_save_and_restore(kind, tmp_path):
    memory = KINDS[kind](30, FIELDS, seed=0)
    memory.add(**rows(0, 25))
    memory.add(**rows(25, 20))
    memory.update(np.arange(30), np.linspace(-2, 1, 30))
    memory.sample(3)
    memory.save(tmp_path / "memory.npz")
    copy = KINDS[kind](30, FIELDS, seed=9)
    copy.restore(tmp_path / "memory.npz")
    for m in (memory, copy):
        m.add(**rows(45, 2))
    a, b = memory.sample(16, 0.3), copy.sample(16, 0.3)
    np.testing.assert_array_equal(a.indices, b.indices)
    np.testing.assert_array_equal(a.weights, b.weights)
    np.testing.assert_array_equal(a.transitions["observation"], b.transitions["observation"])
    with pytest.raises(ValueError, match="file"):
        KINDS[kind](31, FIELDS).restore(tmp_path / "memory.npz")


def test_bad_use_of_a_memory():
    memory = UniformReplay(4, FIELDS)
    with pytest.raises(ValueError, match="sample"):
        memory.sample(2)
    with pytest.raises(ValueError, match="observation"):
        memory.add(**{**rows(0, 2), "observation": np.zeros((2, 3))})
    with pytest.raises(ValueError, match="transitions"):
        memory.add(action=np.zeros(2))
    with pytest.raises(ValueError, match="action|observation"):
        memory.add(**rows(0, 5))
    with pytest.raises(ValueError, match="capacity"):
        UniformReplay(0, FIELDS)
    for kind in (ProportionalReplay, RankReplay):
        memory = kind(4, FIELDS)
        memory.add(**rows(0, 4))
        for bad in (np.nan, np.inf):
            with pytest.raises(ValueError, match="td_errors"):
                memory.update([0, 1], [0.5, bad])


# --- environments ---


def test_blind_cliffwalk_values_by_value_iteration():
    from zoo.environments.cliffwalk import BlindCliffwalk

    env = BlindCliffwalk(6)
    q = np.zeros((6, 2))
    for _ in range(20):
        for state in range(6):
            for action in (0, 1):
                env.reset()
                env.state = state
                _, reward, terminated, _, _ = env.step(action)
                q[state, action] = reward + (0 if terminated else env.discount * q[env.state].max())
    np.testing.assert_allclose(q, env.optimal_values(), atol=1e-12)
    assert env.discount == 1 - 1 / 6


def test_blind_cliffwalk_memory_is_every_sequence_played():
    from itertools import product

    from gymnasium.utils.env_checker import check_env

    from zoo.environments.cliffwalk import BlindCliffwalk

    env = BlindCliffwalk(4)
    check_env(env, skip_render_check=True)
    played = []
    for actions in product((0, 1), repeat=4):
        observation, _ = env.reset()
        for action in actions:
            following, reward, terminated, _, _ = env.step(action)
            played.append((*observation, action, reward, *following, terminated))
            observation = following
            if terminated:
                break
    data = env.all_episodes(seed=0)
    assert len(data["action"]) == len(played) == 2**5 - 2 and data["reward"].sum() == 1
    columns = np.concatenate([v.reshape(len(v), -1) for v in data.values()], 1)
    np.testing.assert_array_equal(np.array(sorted(map(tuple, columns))), np.array(sorted(played), "float32"))
