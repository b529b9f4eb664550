"""Where a text is cut at its target."""

import pytest

from zoo import text


@pytest.mark.parametrize(
    ("line", "target", "start"),
    [
        ("A broadcast of the cast.", "cast", 19),
        ("Broadcast by the Cast", "cast", 17),
        ("THE CAST", "the cast", 0),
        ("castle, cast", "cast", 8),
        ("the cast's work", "cast", 4),
        ("(cast)", "cast", 1),
        ("over-cast cast", "cast", 5),
        ("cast2 cast", "cast", 6),
        ("préau, eau", "eau", 7),
        # a mark joins to the letter before it
        ("cafe\u0301 cafe", "cafe", 6),
        ("a b-c", "b-c", 2),
        ("a... b", "...", 1),
        ("aaa aa", "aa", 4),
    ],
)
def test_whole_words_with_or_without_capitals(line, target, start):
    found = text.split_at(line, target)
    assert "".join(found) == line and len(found[0]) == start and found[1].lower() == target


@pytest.mark.parametrize(
    ("line", "target"), [("broadcast", "cast"), ("castle", "cast"), ("a", "b"), ("a b", ""), ("a  b", " "), ("a", "ab")]
)
def test_targets_that_are_not_there(line, target):
    with pytest.raises(ValueError, match="targets"):
        text.split_at(line, target)


def test_places_are_taken_as_they_are():
    assert text.split_at("broadcast", (5, 9)) == ("broad", "cast", "")
    for bad in ((3, 3), (-1, 2), (5, 10)):
        with pytest.raises(ValueError, match="targets"):
            text.split_at("broadcast", bad)
