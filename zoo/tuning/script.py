"""What the scripts in the folder `tuning/` share."""

import argparse
from pathlib import Path


def arguments(description, trials=20, epochs=10, argv=None):
    """Command line of a search.

    Args:
        description: help text; its first line is shown.
        trials: default number of trials.
        epochs: default epochs of a trial.
        argv: arguments instead of `sys.argv[1:]`.

    Returns:
        A namespace with `quick`, and `settings`, keyword arguments of `search`.
    """
    parser = argparse.ArgumentParser(description=description.strip().splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two short trials on little data, in under a minute")
    parser.add_argument("--trials", type=int, help=f"number of trials (default: {trials})")
    parser.add_argument("--epochs", type=int, help=f"epochs a trial (default: {epochs})")
    parser.add_argument("--tuner", default="random", help="random, bayesian or grid (default: random)")
    parser.add_argument("--out", type=Path, help="folder of the search (default: runs/tuning/<method>)")
    parser.add_argument("--overwrite", action="store_true", help="start anew in a folder that holds a search")
    args = parser.parse_args(argv)
    args.settings = {
        "max_trials": args.trials or (2 if args.quick else trials),
        "epochs": args.epochs or (1 if args.quick else epochs),
        "tuner": args.tuner,
        "directory": args.out,
        "overwrite": args.overwrite,
    }
    return args
