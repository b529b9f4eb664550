"""Search LightFM on simulated tastes: users and items with hidden factors, of which a few likes are seen."""

import numpy as np

from zoo import applications, tuning


def main():
    """Search by the log loss on held-out pairs."""
    args = tuning.arguments(__doc__)
    rng = np.random.default_rng(0)
    users, items, pairs = 200, 300, 4000 if args.quick else 40_000
    tastes, styles = rng.normal(size=(users, 4)), rng.normal(size=(items, 4))
    user, item = rng.integers(0, users, pairs), rng.integers(0, items, pairs)
    liked = np.where((tastes[user] * styles[item]).sum(1) + rng.normal(size=pairs) > 0, 1.0, -1.0)
    data = {"x": {"user": user, "item": item}, "y": liked, "batch_size": 256}
    fixed = {"num_users": users, "num_items": items, "criterion": "logistic"}
    tuning.search(applications.LightFM, data, **fixed, **args.settings).show()


if __name__ == "__main__":
    main()
