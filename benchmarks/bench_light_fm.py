"""LightFM against the author's package `lightfm`, and against `implicit`, whose `recommend` is compiled and parallel.

`lightfm` needs a C compiler and no longer installs by pip: unpack its source archive and run `python setup.py install`. Where it is
missing, only the recommendations are compared. All models have embeddings of 10 and learn from the same interactions; the lists are ten
items for each user, without those that the user knows.
"""

import keras
import numpy as np
from harness import Benchmark

from zoo import datasets
from zoo.applications import LightFM

DIM, BATCH, EPOCHS = 10, 4096, 5


def catalogue():
    """About 100,000 interactions of 1000 users with 1700 items; identity and metadata as features."""
    data = datasets.latent_catalogue(1000, 1700, mean_interactions=100)
    return data.interactions, datasets.with_identity(data.user_features), datasets.with_identity(data.item_features)


def ours(interactions, features, criterion):
    """A model, and a function that trains it."""
    keras.utils.set_random_seed(0)
    settings = {"criterion": criterion, "dim": DIM}
    model = LightFM.from_features(*features, **settings) if features else LightFM(*interactions.shape, **settings)
    model.compile(steps_per_execution=8)
    return model, lambda: model.fit(interactions, batch_size=BATCH, epochs=EPOCHS, verbose=0)


def package(interactions, features, criterion):
    """The same of the package, on one core: on two it was no faster."""
    from lightfm import LightFM as Package

    model = Package(no_components=DIM, loss=criterion, random_state=0)
    matrices = dict(zip(("user_features", "item_features"), features))
    return model, lambda: model.fit_partial(interactions, epochs=EPOCHS, **matrices)


def main():
    """Time epochs of training, and recommendations for all users."""
    interactions, *features = catalogue()
    work = {"work": EPOCHS * interactions.nnz, "unit": "interactions"}
    try:
        import lightfm

        benchmark = Benchmark("light_fm", peer=f"lightfm {lightfm.__version__}")
        for criterion in ("warp", "bpr"):
            for title, matrices in (("", ()), (", with metadata", features)):
                run = [build(interactions, matrices, criterion)[1] for build in (ours, package)]
                benchmark.case(f"{EPOCHS} epochs of {criterion.upper()}{title}, {interactions.nnz:,} interactions", *run, **work)
    except ImportError:
        benchmark = None

    import implicit
    from implicit.bpr import BayesianPersonalizedRanking

    name = f"implicit {implicit.__version__}"
    benchmark = benchmark or Benchmark("light_fm", peer=name)
    model, train = ours(interactions, (), "bpr")
    train()
    peer = BayesianPersonalizedRanking(factors=DIM, iterations=1, random_state=0)
    peer.fit(interactions, show_progress=False)
    users = np.arange(interactions.shape[0])
    benchmark.case(
        f"ten items for each user, without known ones ({name})",
        ours=lambda: model.recommend(users, 10, exclude=interactions),
        peer=lambda: peer.recommend(users, interactions, N=10),
        work=len(users),
        unit="users",
    )
    benchmark.report()


if __name__ == "__main__":
    main()
