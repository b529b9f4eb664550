"""What the defaults cost: every method, constructed with its default arguments, on data of its natural size.

    python benchmarks/defaults.py                     all methods, three minutes of training each
    python benchmarks/defaults.py unet vat --minutes 1

Each method runs in a process of its own, so that its peak memory is its own. The table counts parameters, the seconds of the first and of a
later step, the peak memory of training and of each verb, and what a few minutes of training reach beside a trivial answer. A default that
diverges, stays at the trivial answer, or needs more than 16 GB is a fault. Results go to `benchmarks/results/defaults.json`, the table to
`docs/defaults.md`.
"""

import argparse
import json
import os
import platform
import re
import resource
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
RESULTS, PAGE = HERE / "results" / "defaults.json", HERE.parent / "docs" / "defaults.md"
LAPTOP = {"step": 10.0, "memory": 8.0}
# processes beside which times say little
CROWDED = 3.0


def main():
    """Run the tasks one after the other, each in a process, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="tasks (default: all)")
    parser.add_argument("--minutes", type=float, default=3.0, help="of training a task (default: 3)")
    parser.add_argument("--one", action="store_true", help="run one task in this process and print its record as JSON")
    args = parser.parse_args()
    if args.one:
        print(json.dumps(measure(args.names[0], 60 * args.minutes)))
        return
    records = json.loads(RESULTS.read_text())["tasks"] if RESULTS.exists() else {}
    for name in args.names or names():
        command = [sys.executable, __file__, name, "--one", "--minutes", str(args.minutes)]
        done = subprocess.run(command, capture_output=True, text=True)
        lines = done.stdout.strip().splitlines()
        if done.returncode:
            # a default that cannot run is a result, too
            said = done.stderr.strip().splitlines() or ["ended without a word"]
            errors = [line for line in said if re.match(r"[\w.]*(Error|Exception)\b", line)]
            records[name] = {"error": (errors or said)[-1][:300]}
        else:
            records[name] = json.loads(lines[-1])
        print(name, records[name], flush=True)
        write(records)


def names():
    """All tasks."""
    script = f"import sys; sys.path.insert(0, {str(HERE)!r}); from tasks import tasks; print(*tasks())"
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.splitlines()[-1].split()


def measure(name, seconds):
    """The record of one task."""
    import keras
    import numpy as np

    sys.path.insert(0, str(HERE))
    from tasks import SEED, tasks

    keras.utils.set_random_seed(SEED)
    task = tasks()[name]()
    before = task.score()[1]
    clock = clock_of(seconds)
    fit = {**task.fit, "callbacks": [*task.fit.get("callbacks", []), clock], "verbose": 0}
    try:
        task.model.fit(**fit)
    except TimeoutError:
        pass
    memory, verbs = peak(), {}
    for verb, run in task.verbs.items():
        run()
        start = time.perf_counter()
        run()
        verbs[verb] = {"seconds": time.perf_counter() - start, "memory": peak()}
    metric, value, trivial, higher = task.score()
    later = float(np.median(np.diff(clock.ends))) if len(clock.ends) > 1 else None
    return {
        "class": type(task.model).__name__,
        "parameters": int(task.model.count_params()),
        "first": clock.ends[0],
        "later": later,
        "steps": len(clock.ends),
        "seconds": clock.ends[-1],
        "memory": memory,
        "verbs": verbs,
        "score": {"metric": metric, "higher_is_better": higher, "before": float(before), "value": float(value), "trivial": float(trivial)},
        "load": os.getloadavg()[0],
    }


def clock_of(seconds):
    """A callback that keeps when steps end, and ends training when the time is over."""
    import keras

    class Clock(keras.callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.ends, self.start = [], time.perf_counter()

        def on_train_batch_end(self, batch, logs=None):
            self.ends.append(time.perf_counter() - self.start)
            if self.ends[-1] > seconds:
                raise TimeoutError

    return Clock()


def peak():
    """Most memory that this process has had, in GiB."""
    scale = 2**30 if sys.platform == "darwin" else 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / scale


def is_fault(record):
    """Whether a default diverges, learns nothing, or needs too much."""
    if "error" in record:
        return True
    score = record["score"]
    sign = 1 if score["higher_is_better"] else -1
    learned = sign * (score["value"] - score["trivial"]) > 0
    return not learned or record["memory"] > 16


def write(records):
    """The results, and the page of the docs that shows them."""
    machine = {"cpu": platform.processor() or platform.machine(), "cores": os.cpu_count()}
    RESULTS.write_text(json.dumps({"machine": machine, "tasks": dict(sorted(records.items()))}, indent=1) + "\n")
    start, end = "<!-- table -->", "<!-- /table -->"
    page = PAGE.read_text()
    head, tail = page[: page.index(start) + len(start)], page[page.index(end) :]
    PAGE.write_text(f"{head}\n\n{table(records)}\n\n{tail}")


def table(records):
    """Markdown of all records."""
    rows = ["| task | parameters | first step | a step | memory | in | reached | a trivial answer | verbs | runs on |"]
    rows.append("|---|---|---|---|---|---|---|---|---|---|")
    for name, one in sorted(records.items()):
        if "error" in one:
            rows.append(f"| `{name}` | | | | | | **fails: {one['error']}** | | | |")
            continue
        score, later = one["score"], one["later"] or one["first"]
        verbs = ", ".join(f"`{verb}` {v['seconds']:.2g} s" for verb, v in one["verbs"].items())
        where = "a laptop" if later < LAPTOP["step"] and one["memory"] < LAPTOP["memory"] else "a GPU"
        times = f"{one['first']:.2g} s | {later:.2g} s" + (" (shared)" if one["load"] > CROWDED else "")
        value = f"{score['metric']} {score['value']:.3g}" + (" **fault**" if is_fault(one) else "")
        rows.append(
            f"| `{name}` | {one['parameters']:,} | {times} | {one['memory']:.2g} GB | {one['seconds']:.0f} s "
            f"| {value} | {score['trivial']:.3g} | {verbs} | {where} |"
        )
    return "\n".join(rows)


if __name__ == "__main__":
    main()
