"""Pairs out of docstrings, from a small package that is laid down, and from one that is installed."""

import pytest

from zoo import datasets

CODE = '''
class Graph:
    """Graph of nodes that are joined by edges.

    A graph holds nodes and `edges`. It may be directed.
    """

    def __init__(self):
        """Same words as none.

        Parameters
        ----------
        nodes : list
        """

    def size(self):
        """Number of nodes of this graph.

        This counts the nodes of a graph that was made before, not the edges of :class:`it`.

        Returns: a number.
        """

    def unlike(self):
        """Takes away every loop.

        Something else altogether happens here, once again.
        """

    def question(self):
        """Is this a graph of nodes?

        A graph of nodes it is, and shall be for ever.
        """
'''


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A distribution with the code above at two places, one of them among its tests."""
    names = ["small/graph.py", "small/again.py", "small/tests/test_graph.py"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(CODE)
    (tmp_path / "small/broken.py").write_text("def :")
    info = tmp_path / "small_graphs-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: small-graphs\nVersion: 1.0\n")
    (info / "RECORD").write_text("".join(f"{name},,\n" for name in [*names, "small/broken.py"]))
    monkeypatch.syspath_prepend(tmp_path)
    return "small-graphs"


def test_pairs_have_words_in_common_and_come_once(package):
    found = datasets.docstrings(packages=[package])
    assert [(pair.module, pair.source, pair.summary) for pair in found] == [
        ("small/again.py", "A graph holds nodes and edges.", "Graph of nodes that are joined by edges."),
        (
            "small/again.py",
            "This counts the nodes of a graph that was made before, not the edges of it.",
            "Number of nodes of this graph.",
        ),
    ]
    assert len(datasets.docstrings(packages=[package], longest=(10, 15))) == 1


def test_parts_are_modules_and_share_no_texts():
    whole = datasets.docstrings(packages=["networkx"] if _installed("networkx") else ["numpy"])
    parts = [datasets.docstrings(part, [whole[0].package]) for part in ("train", "validation", "test")]
    assert sum(map(len, parts)) == len(whole) > 100 and len(parts[0]) > len(parts[2]) > 0
    for kind in ("module", "source", "summary"):
        sets = [{getattr(pair, kind) for pair in part} for part in parts]
        assert not sets[0] & sets[1] and not sets[0] & sets[2] and not sets[1] & sets[2]
    assert datasets.docstrings(packages=[whole[0].package]) == whole


def _installed(name):
    import importlib.metadata

    try:
        return bool(importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return False


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="`part`"):
        datasets.docstrings("held out")
    with pytest.raises(ValueError, match="`packages`"):
        datasets.docstrings(packages="numpy")
    with pytest.raises(ImportError, match="pip install no-such-package"):
        datasets.docstrings(packages=["no-such-package"])
