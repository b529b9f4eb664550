"""Conversations: turns as one text, what is read of them, and files of one's own."""

import keras
import numpy as np
import pytest

from zoo import datasets, text


def test_the_last_words_of_the_last_turns_are_read():
    words = ["a", "b", "c", "d", "?", text.TURN]
    layer = text.turn_vectorization(words, 4, 2)
    name = dict(enumerate(["", "[unk]", *words]))

    def read(conversation):
        ids = keras.ops.convert_to_numpy(layer(text.joined_turns([conversation])))[0]
        return [name[int(i)] for i in ids if i]

    assert read(["a", "b", "c d?"]) == [text.TURN, "c", "d", "?"]
    assert read(["a", "b", "c"]) == ["b", text.TURN, "c"] == read("a\nb\n c \n")
    assert read(["c"]) == ["c"] and read("a b c d ? a b") == ["d", "?", "a", "b"]
    # what a person writes is never taken for the sign between turns, and a turn is a line whatever it holds
    assert text.TURN not in read(["a <turn> b"]) and read(["a\nb", "c"]) == ["a", "b", text.TURN, "c"]
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    np.testing.assert_array_equal(copy(["a\nb\nc"]), layer(["a\nb\nc"]))


def test_exchanges():
    conversations = [["a", "b", "c", "d"], ["e"], ["f", "g"]]
    before, replies = text.exchanges(conversations, 2)
    assert before == [["a"], ["a", "b"], ["b", "c"], ["f"]] and replies == ["b", "c", "d", "g"]
    with pytest.raises(ValueError, match="`turns`"):
        text.exchanges(conversations, 0)


def test_conversations_of_a_file(tmp_path):
    path = tmp_path / "chats.txt"
    path.write_text("hello\n hi  there\n\n\nwho?\nme\nyou\n", encoding="utf-8")
    assert datasets.read_conversations(path) == [["hello", "hi there"], ["who?", "me", "you"]]
    path.write_text("hello\nhi\n\nwho?\n", encoding="utf-8")
    with pytest.raises(ValueError, match="line 4"):
        datasets.read_conversations(path)
    path.write_text("\n\n")
    with pytest.raises(ValueError, match="Received: none"):
        datasets.read_conversations(path)


def test_shipped_conversations():
    pytest.importorskip("chitchat_dataset")
    parts = [datasets.chitchat(part) for part in ("train", "validation", "test")]
    assert [len(part) for part in parts] == [3603, 220, 194] and sum(parts, []) and len(datasets.chitchat()) == sum(map(len, parts))
    assert all(len(turns) > 1 and all(turns) for turns in parts[1])
    with pytest.raises(ValueError, match="`part`"):
        datasets.chitchat("dev")
    pytest.importorskip("chatterbot_corpus")
    exchanges = datasets.chatterbot(topics=["tech_support"])
    assert ["My mouse is not responding.", "Try plugging it into another USB port or changing the batteries."] in exchanges
    assert len(datasets.chatterbot()) > len(exchanges) > 1000
    for name, arguments in {"language": {"language": "klingon"}, "topics": {"topics": ["love"]}}.items():
        with pytest.raises(ValueError, match=f"`{name}`"):
            datasets.chatterbot(**arguments)
