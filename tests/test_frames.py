"""The memory of frames against one that keeps both observations of each transition whole."""

import numpy as np
import pytest

from zoo.environments.frames import FrameStore
from zoo.environments.replay_buffers import ProportionalReplay, RankReplay, UniformReplay

SHAPES = {2: (5, 6, 4), 0: (4, 5, 6)}


def fields(shape, dtype="uint8"):
    return {"observation": (shape, dtype), "action": ((), "int32"), "next_observation": (shape, dtype)}


def played(steps, envs, axis, rng, episode=7):
    """Batches of transitions of `envs` games, whose observations are their latest four frames."""
    frames = rng.integers(256, size=(envs, 4, 5, 6), dtype="uint8")
    for t in range(steps):
        following = np.concatenate([frames[:, 1:], rng.integers(256, size=(envs, 1, 5, 6), dtype="uint8")], 1)
        yield {
            "observation": np.moveaxis(frames, 1, axis + 1),
            "action": rng.integers(9, size=envs),
            "next_observation": np.moveaxis(following, 1, axis + 1),
        }
        frames = following if t % episode else np.repeat(rng.integers(256, size=(envs, 1, 5, 6), dtype="uint8"), 4, 1)


@pytest.mark.parametrize("axis", SHAPES)
@pytest.mark.parametrize("kind", [UniformReplay, ProportionalReplay, RankReplay])
def test_stacks_come_back_whole(axis, kind):
    rng = np.random.default_rng(0)
    stacks = {"observation": axis, "next_observation": axis}
    whole, thrifty = kind(40, fields(SHAPES[axis]), seed=3), kind(40, fields(SHAPES[axis]), seed=3, stacks=stacks)
    for i, transitions in enumerate(played(50, 3, axis, rng)):
        whole.add(**transitions), thrifty.add(**transitions)
        a, b = whole.sample(16), thrifty.sample(16)
        for name in a.transitions:
            np.testing.assert_array_equal(a.transitions[name], b.transitions[name])
            assert a.transitions[name].dtype == b.transitions[name].dtype
        for memory in (whole, thrifty):
            memory.update(a.indices, np.linspace(0, 1, 16) * i)


def test_a_frame_is_kept_once_and_freed():
    rng, store = np.random.default_rng(0), FrameStore((5, 6), "uint8")
    frames = rng.integers(256, size=(9000, 5, 6), dtype="uint8")
    places = store.hold(frames)
    assert len(set(places.tolist())) == 9000 and np.array_equal(store.hold(frames), places)
    room = store.nbytes
    store.release(places)
    np.testing.assert_array_equal(store.take(places), frames)
    store.release(places)
    store.hold(rng.integers(256, size=(9000, 5, 6), dtype="uint8"))
    assert store.nbytes == room


def test_room_is_that_of_single_frames():
    rng = np.random.default_rng(0)
    memory = UniformReplay(5000, fields((5, 6, 4)), stacks={"observation": 2, "next_observation": 2})
    for transitions in played(5000, 2, 2, rng, episode=1000):
        memory.add(**transitions)
    # two observations of four frames a transition would be 5000 * 240 bytes
    assert memory.frames.nbytes < 5000 * 30 * 1.7


def test_frames_of_equal_hash_are_told_apart(monkeypatch):
    import zoo.environments.frames as module

    monkeypatch.setattr(module, "hash", lambda content: 1, raising=False)
    store, frames = FrameStore((2,), "uint8"), np.arange(12, dtype="uint8").reshape(6, 2)
    places = store.hold(frames)
    np.testing.assert_array_equal(store.take(places), frames)
    store.release(places[::2])
    again = store.hold(frames[::2])
    np.testing.assert_array_equal(store.take(again), frames[::2])
    np.testing.assert_array_equal(store.take(places[1::2]), frames[1::2])


@pytest.mark.parametrize("axis", SHAPES)
def test_save_and_restore(axis, tmp_path):
    rng, stacks = np.random.default_rng(0), {"observation": axis, "next_observation": axis}
    memory, copy = (ProportionalReplay(30, fields(SHAPES[axis]), seed=s, stacks=stacks) for s in (0, 9))
    games = list(played(30, 2, axis, rng))
    for transitions in games[:-5]:
        memory.add(**transitions)
    memory.save(tmp_path / "memory.npz")
    copy.add(**games[0])
    copy.restore(tmp_path / "memory.npz")
    for m in (memory, copy):
        for transitions in games[-5:]:
            m.add(**transitions)
    a, b = memory.sample(16), copy.sample(16)
    for name in a.transitions:
        np.testing.assert_array_equal(a.transitions[name], b.transitions[name])


def test_stacks_must_be_of_one_kind():
    with pytest.raises(ValueError, match="stacks"):
        UniformReplay(4, fields((5, 6, 4)), stacks={"observation": 2, "next_observation": 0})
