"""What the recipes in `applications/` share: their command line, and the preset with its card that they publish."""

import argparse
import io
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from zoo.evidence import jobs
from zoo.evidence.card import card
from zoo.evidence.claim import Choice, Claim, ahead, summary
from zoo.evidence.settings import arguments as changed_arguments
from zoo.evidence.settings import differences


def arguments(description: str, preset: str, argv: Sequence[str] | None = None, seeds: int = 5) -> argparse.Namespace:
    """Command line of a recipe.

    Args:
        description: help text; its first line is shown.
        preset: name of the shipped preset that the recipe writes.
        argv: arguments instead of `sys.argv[1:]`.
        seeds: how many by default: five, ten where an arm takes seconds, three where it takes minutes.

    Returns:
        A namespace with `quick`, `seeds` (a list of ints), `out` (a folder) and `started` (a time); and, for `finished`, `jobs` (a folder)
        and `job_seconds`, the processor time of jobs that other processes did.
    """
    parser = argparse.ArgumentParser(description=description.strip().splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="the same path in under a minute; writes to runs/, proves nothing")
    parser.add_argument("--seeds", type=int, default=seeds, help=f"number of seeds, at least 3 for evidence (default: {seeds})")
    parser.add_argument("--out", type=Path, help="folder of the preset (default: saved_models/<preset>)")
    args = parser.parse_args(argv)
    if args.seeds < 1:
        parser.error(f"--seeds must be at least 1. Received: {args.seeds}")
    root = Path(__file__).parent.parent.parent
    args.out = args.out or (root / "runs" / preset if args.quick else root / "saved_models" / preset)
    args.seeds = list(range(1 if args.quick else args.seeds))
    args.jobs, args.job_seconds = jobs.folder(root, preset, Path(sys.argv[0]), args.quick), 0.0
    args.started = time.time()
    return args


def publish(
    model: Any,
    args: argparse.Namespace,
    claims: Sequence[Claim],
    data: str,
    notes: str = "",
    figure: Any = None,
    half_precision: bool = True,
    choices: Sequence[Choice] = (),
) -> None:
    """Write the preset folder of a recipe: model, evidence, card, figure.

    Args:
        model: the trained `zoo.Model`.
        args: what `arguments` returned.
        claims: list of `Claim`.
        data: the training data and its licence, a sentence for the card.
        notes: what a reader of the card should know: budget, differences from the paper, why a claim fell short.
        figure: a matplotlib figure.
        half_precision: store weights as float16.
        choices: how settings were chosen, a `Choice` for each comparison.
    """
    import keras

    from zoo import presets

    recipe = Path(sys.argv[0])
    evidence = {
        "claims": [claim.record() for claim in claims],
        "differs": differences(model),
        "choices": [asdict(choice) for choice in choices],
        "data": data,
        "notes": notes,
        "quick": args.quick,
        "seconds": round(time.time() - args.started + args.job_seconds),
        # what the run takes on a machine with other work, too
        "processor_seconds": round(time.process_time() + args.job_seconds),
        "command": f"python {recipe.parent.parent.name}/{recipe.parent.name}/{recipe.name}",
        "backend": f"{keras.backend.backend()}, Keras {keras.__version__}",
    }
    extras = _documents(type(model).__name__, args.out.name, evidence, figure is not None)
    if figure is not None:
        stream = io.BytesIO()
        figure.savefig(stream, format="png", dpi=80, bbox_inches="tight", pil_kwargs={"optimize": True})
        extras["figure.png"] = stream.getvalue()
    presets.save(model, args.out, half_precision=half_precision, extras=extras)
    for claim in claims:
        figures = f"{summary(claim.values)} against {summary(claim.baseline_values)} ({claim.baseline}), ahead {ahead(claim.record())}"
        print(f"{claim.verdict.upper()}: {claim.claim}\n  {claim.metric}: {figures}")
    print(f"{args.out} written after {evidence['seconds']} s")


def renew(folder: str | Path) -> None:
    """Judge the values of a preset anew, and write its card anew: what a change of the rules asks for.

    Args:
        folder: of a preset with evidence.
    """
    from zoo import applications, presets

    folder = Path(folder)
    presets.verify(folder)
    record = json.loads((folder / "config.json").read_text())
    evidence = json.loads((folder / "evidence.json").read_text())
    evidence["claims"] = [Claim.from_record(claim).record() for claim in evidence["claims"]]
    evidence["differs"]["arguments"] = changed_arguments(getattr(applications, record["class"]), record["config"])
    presets.replace(folder, _documents(record["class"], folder.name, evidence, (folder / "figure.png").exists()))


def _documents(cls_name, preset, evidence, has_figure) -> dict[str, bytes]:
    return {
        "evidence.json": (json.dumps(evidence, indent=1) + "\n").encode(),
        "card.md": card(cls_name, preset, evidence, has_figure).encode(),
    }
