"""Interactions and metadata: the simulator's regularities, the divisions, and MovieLens where it is installed."""

import numpy as np
import pytest
from scipy import sparse

from zoo import datasets, files


def test_latent_catalogue():
    data = datasets.latent_catalogue(300, 400, num_tags=20, mean_interactions=30, seed=1)
    assert data.interactions.shape == (300, 400) and data.user_features.shape == (300, len(data.user_feature_names))
    assert data.item_features.shape == (400, 20) and len(data.item_names) == 400
    assert set(data.interactions.data) == {1.0} and data.interactions.has_canonical_format
    activity, popularity = data.interactions.getnnz(axis=1), np.sort(data.interactions.getnnz(axis=0))[::-1]
    assert activity.min() >= 5 and abs(activity.mean() - 30) < 5 and activity.max() > 2 * activity.mean()
    assert popularity[:80].sum() > 0.4 * popularity.sum()  # a long tail
    tags = data.item_features.getnnz(axis=1)
    assert tags.min() == 2 and tags.max() == 5 and (data.user_features.getnnz(axis=1) == 1).all()
    first, again, other = (datasets.latent_catalogue(90, 120, seed=seed).interactions for seed in (1, 1, 2))
    assert (first != again).nnz == 0 and (first != other).nnz


def test_tags_tell_tastes():
    """Users of a group like the same items the more, the less is their own."""

    def likeness(own):
        data = datasets.latent_catalogue(200, 300, own=own)
        group = data.user_features.toarray().argmax(1)
        shared = (data.interactions @ data.interactions.T).toarray()
        same = (group[:, None] == group) & ~np.eye(200, dtype=bool)
        return shared[same].mean() / shared[group[:, None] != group].mean()

    assert likeness(0.0) > likeness(0.5) > likeness(1.0) == pytest.approx(1, abs=0.1)


def test_with_identity():
    features = sparse.csr_matrix([[0.0, 2.0], [1.0, 0.0], [0.0, 0.0]])
    np.testing.assert_array_equal(datasets.with_identity(features).toarray(), np.hstack([np.eye(3), features.toarray()]))


@pytest.mark.parametrize("divide", [datasets.split_interactions, datasets.hold_out_items])
def test_divisions(divide):
    interactions = sparse.random(80, 90, 0.3, format="csr", random_state=0)
    train, test = divide(interactions, test_size=0.25, seed=3)
    assert (train + test != interactions).nnz == 0 and train.multiply(test).nnz == 0
    assert abs(test.nnz / interactions.nnz - 0.25) < 0.12
    assert (divide(interactions, 0.25, seed=3)[1] != test).nnz == 0 and (divide(interactions, 0.25, seed=4)[1] != test).nnz
    if divide is datasets.hold_out_items:
        assert not np.any((train.getnnz(axis=0) > 0) & (test.getnnz(axis=0) > 0)) and np.any(test.getnnz(axis=0) > 0)


def ratings(folder):
    """Three users and four films in the format of recbole's files."""
    lines = {
        "user": ["user_id:token\tage\tgender\toccupation\tzip", "7\t24\tM\ttechnician\t85711", "3\t53\tF\tother\t1", "9\t29\tF\tother\t2"],
        "item": [
            "item_id:token\tmovie_title\trelease_year\tclass",
            "5\tToy Story\t1995\tAnimation Comedy",
            "2\tHeat\t1968\tDrama",
            "8\t?\t\tunknown",
        ],
        "inter": ["user_id\titem_id\trating\ttimestamp", "7\t5\t5\t1", "3\t2\t3\t2", "9\t8\t4\t3", "7\t8\t1\t4"],
    }
    for kind, text in lines.items():
        (folder / f"ml-100k.{kind}").write_text("\n".join(text) + "\n")
    return lambda distribution, path, dataset: folder / path.rpartition("/")[2]


def test_movielens_format(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "packaged", ratings(tmp_path))
    data = datasets.movielens_100k()
    np.testing.assert_array_equal(data.interactions.toarray(), [[5, 0, 1], [0, 3, 0], [0, 0, 4]])
    assert data.item_names == ["Toy Story", "Heat", "?"]
    assert data.user_feature_names == ["age 20s", "age 50s", "gender F", "gender M", "occupation other", "occupation technician"]
    assert data.item_feature_names == ["Animation", "Comedy", "Drama", "decade 1960s", "decade 1990s", "unknown"]
    np.testing.assert_array_equal(data.user_features.toarray(), [[1, 0, 0, 1, 0, 1], [0, 1, 1, 0, 1, 0], [1, 0, 1, 0, 1, 0]])
    np.testing.assert_array_equal(data.item_features.toarray(), [[1, 1, 0, 0, 1, 0], [0, 0, 1, 1, 0, 0], [0, 0, 0, 0, 0, 1]])
    liked = datasets.movielens_100k(min_rating=4).interactions
    np.testing.assert_array_equal(liked.toarray(), [[1, 0, 0], [0, 0, 0], [0, 0, 1]])
    assert liked.nnz == 2


def test_movielens():
    try:
        data = datasets.movielens_100k()
    except ImportError as error:
        assert "pip install" in str(error)
        pytest.skip("recbole is not installed")
    assert data.interactions.shape == (943, 1682) and data.interactions.nnz == 100_000
    assert data.item_names[0].startswith("Toy Story") and data.user_features.shape[0] == 943
    counts = np.bincount(data.interactions.data.astype(int))
    assert counts[1:].tolist() == [6110, 11370, 27145, 34174, 21201]  # the data set's README
