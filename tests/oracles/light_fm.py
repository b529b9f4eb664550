"""Writes `tests/golden/light_fm.npz` with the author's package, lightfm 1.17, in an environment of its own.

Its source archive installs by `python setup.py install` (a C compiler, NumPy, SciPy, scikit-learn, requests). Then, from the repository:

    python tests/oracles/light_fm.py
"""

from pathlib import Path

import numpy as np
from lightfm import LightFM
from lightfm.evaluation import auc_score, precision_at_k, recall_at_k, reciprocal_rank
from scipy import sparse

USERS, ITEMS, EPOCHS = 100, 120, 30
RNG = np.random.default_rng(0)


def features(rows, columns):
    """Up to three features a row with weights other than one; the last two rows are equal, which makes ties."""
    matrix = np.zeros((rows, columns), "float32")
    for row in matrix:
        row[RNG.choice(columns, RNG.integers(1, 4), replace=False)] = RNG.uniform(0.5, 1.5)
    matrix[-1] = matrix[-2]
    return matrix


def interactions():
    """1 where a user liked an item, -1 where not, by tastes in four dimensions; about a third of all pairs are seen."""
    tastes, styles = RNG.normal(size=(USERS, 4)), RNG.normal(size=(ITEMS, 4))
    liked = np.where(tastes @ styles.T + 2 * RNG.normal(size=ITEMS) > 1.5, 1, -1)
    return (liked * (RNG.random((USERS, ITEMS)) < 0.35)).astype("int8")


def main():
    """Scores and metrics of a model with features; quality of every criterion on one data set."""
    seen = interactions()
    held = RNG.random(seen.shape) < 0.25
    train, test = np.where(held, 0, seen).astype("int8"), np.where(held & (seen > 0), 1, 0).astype("int8")
    test[3] = 0
    golden = {"train": train, "test": test, "user_features": features(USERS, 20), "item_features": features(ITEMS, 15)}
    positives, held_out = sparse.csr_matrix(np.maximum(train, 0).astype("float32")), sparse.csr_matrix(test.astype("float32"))
    sides = {key: sparse.csr_matrix(golden[key]) for key in ("user_features", "item_features")}

    model = LightFM(no_components=6, loss="warp", random_state=0).fit(positives, epochs=5, **sides)
    for name in ("user_embeddings", "user_biases", "item_embeddings", "item_biases"):
        golden[name] = getattr(model, name)
    pairs = np.repeat(np.arange(USERS), ITEMS), np.tile(np.arange(ITEMS), USERS)
    golden["scores"] = model.predict(*pairs, **sides).reshape(USERS, ITEMS).astype("float32")
    metrics = {"precision": (precision_at_k, {"k": 5}), "recall": (recall_at_k, {"k": 5}), "auc": (auc_score, {})}
    for name, (metric, options) in {**metrics, "reciprocal_rank": (reciprocal_rank, {})}.items():
        golden[name] = metric(model, held_out, positives, preserve_rows=True, **options, **sides)
        golden[f"{name}_alone"] = metric(model, held_out, preserve_rows=False, **options, **sides)

    signed = sparse.coo_matrix(train.astype("float32"))
    for loss in ("logistic", "bpr", "warp", "warp-kos"):
        for schedule in ("adagrad", "adadelta"):
            values = []
            for seed in range(3):
                model = LightFM(no_components=8, loss=loss, learning_schedule=schedule, random_state=seed)
                model.fit(signed if loss == "logistic" else positives, epochs=EPOCHS)
                values.append(auc_score(model, held_out, positives).mean())
            golden[f"{loss} {schedule}"] = np.float32(values)
            print(loss, schedule, values)
    np.savez_compressed(Path(__file__).parents[1] / "golden" / "light_fm.npz", **golden)


if __name__ == "__main__":
    main()
