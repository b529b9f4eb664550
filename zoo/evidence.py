"""Evidence: the paper's claim, re-run. Recipes collect `Claim`s and `publish` a preset with its card."""

import argparse
import io
import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, stdev

from zoo import index


@dataclass(frozen=True)
class Claim:
    """One claim of a paper and what came of it here, one value per seed.

    Args:
        claim: the claim in a sentence.
        paper_value: what the paper reports, in words.
        dataset: the held-out data the metric was measured on.
        metric: name and unit.
        higher_is_better: direction of the metric.
        baseline: name of what it is compared with, trained with the same budget.
        baseline_values: its metric, one per seed.
        values: the method's metric, one per seed.
        seeds: the seeds, at least three unless the run was quick.
    """

    claim: str
    paper_value: str
    dataset: str
    metric: str
    higher_is_better: bool
    baseline: str
    baseline_values: list
    values: list
    seeds: list

    def __post_init__(self):
        if not len(self.values) == len(self.baseline_values) == len(self.seeds):
            raise ValueError(
                "`values`, `baseline_values` and `seeds` must have one entry per seed. "
                f"Received: {len(self.values)}, {len(self.baseline_values)}, {len(self.seeds)}"
            )

    @property
    def holds(self):
        """Whether the method beats the baseline by more than one standard error of the paired differences."""
        sign = 1 if self.higher_is_better else -1
        differences = [sign * (ours - theirs) for ours, theirs in zip(self.values, self.baseline_values)]
        error = stdev(differences) / len(differences) ** 0.5 if len(differences) > 1 else 0.0
        return fmean(differences) > error

    def record(self):
        """The claim as `evidence.json` stores it."""
        fields = asdict(self)
        baseline = {"name": fields.pop("baseline"), "values": [float(v) for v in fields.pop("baseline_values")]}
        return {**fields, "values": [float(v) for v in self.values], "baseline": baseline, "holds": self.holds}


def arguments(description, preset, argv=None):
    """Command line of a recipe.

    Args:
        description: help text; its first line is shown.
        preset: name of the shipped preset that the recipe writes.
        argv: arguments instead of `sys.argv[1:]`.

    Returns:
        A namespace with `quick`, `seeds` (a list of ints), `out` (a folder) and `started` (a time).
    """
    parser = argparse.ArgumentParser(description=description.strip().splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="the same path in under a minute; writes to runs/, proves nothing")
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds, at least 3 for evidence (default: 3)")
    parser.add_argument("--out", type=Path, help="folder of the preset (default: saved_models/<preset>)")
    args = parser.parse_args(argv)
    if args.seeds < 1:
        parser.error(f"--seeds must be at least 1. Received: {args.seeds}")
    root = Path(__file__).parent.parent
    args.out = args.out or (root / "runs" / preset if args.quick else root / "saved_models" / preset)
    args.seeds = list(range(1 if args.quick else args.seeds))
    args.started = time.time()
    return args


def publish(model, args, claims, data, notes="", figure=None, half_precision=True):
    """Write the preset folder of a recipe: model, evidence, card, figure.

    Args:
        model: the trained `zoo.Model`.
        args: what `arguments` returned.
        claims: list of `Claim`.
        data: the training data and its licence, a sentence for the card.
        notes: what a reader of the card should know: budget, differences from the paper, why a claim fell short.
        figure: a matplotlib figure.
        half_precision: store weights as float16.
    """
    import keras

    from zoo import presets

    evidence = {
        "claims": [claim.record() for claim in claims],
        "quick": args.quick,
        "seconds": round(time.time() - args.started),
        # what the run takes on a machine with other work, too
        "processor_seconds": round(time.process_time()),
        "command": f"python {Path(sys.argv[0]).parent.parent.name}/{Path(sys.argv[0]).parent.name}/{Path(sys.argv[0]).name}",
        "backend": f"{keras.backend.backend()}, Keras {keras.__version__}",
    }
    extras = {
        "evidence.json": (json.dumps(evidence, indent=1) + "\n").encode(),
        "card.md": _card(model, args.out.name, evidence, data, notes, figure is not None).encode(),
    }
    if figure is not None:
        stream = io.BytesIO()
        figure.savefig(stream, format="png", dpi=80, bbox_inches="tight")
        extras["figure.png"] = stream.getvalue()
    presets.save(model, args.out, half_precision=half_precision, extras=extras)
    for claim in claims:
        ours, theirs = summary(claim.values), summary(claim.baseline_values)
        print(f"{'holds' if claim.holds else 'DOES NOT HOLD'}: {claim.claim}\n  {claim.metric}: {ours} against {theirs} ({claim.baseline})")
    print(f"{args.out} written after {evidence['seconds']} s")


def summary(values):
    """Mean and standard deviation of `values` in a few characters."""
    return f"{fmean(values):.4g} ± {stdev(values) if len(values) > 1 else 0:.2g}"


def _card(model, name, evidence, data, notes, has_figure):
    entry = index.find(type(model).__name__)
    lines = [
        f"# {name}",
        "",
        f"`zoo.applications.{entry.name}`: {entry.summary}",
        f"Paper: [{entry.paper}]({entry.url}), {entry.authors} {entry.year}.",
        "",
        "```python",
        f'model = zoo.applications.{entry.name}.from_pretrained("{name}")',
        "```",
        "",
        "## Does the paper's claim hold here?",
        "",
        "| claim | metric | this method | baseline | in the paper | holds |",
        "|---|---|---|---|---|---|",
    ]
    for claim in evidence["claims"]:
        arrow = "higher is better" if claim["higher_is_better"] else "lower is better"
        baseline = f"{summary(claim['baseline']['values'])} ({claim['baseline']['name']})"
        lines.append(
            f"| {claim['claim']} | {claim['metric']} on {claim['dataset']}, {arrow} | {summary(claim['values'])} | {baseline} "
            f"| {claim['paper_value']} | **{'yes' if claim['holds'] else 'no'}** |"
        )
    times = f"{evidence['seconds']} s, {evidence['processor_seconds']} s of processor time"
    lines += [
        "",
        "Mean ± standard deviation over the seeds; a claim holds if the mean paired difference exceeds its standard error.",
        f"Measured by `{evidence['command']}` in {times} ({evidence['backend']}).",
    ]
    lines += ["", "![figure](figure.png)"] if has_figure else []
    lines += ["", "## Data", "", data]
    lines += ["", "## Notes", "", notes] if notes else []
    return "\n".join(lines) + "\n"
