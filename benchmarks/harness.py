"""Times zoo against the peer a user would pick instead: both in turns within one run, medians, ratio.

    benchmark = Benchmark("light_fm", peer="lightfm 1.17")
    benchmark.case("WARP epoch, 100k interactions", ours=..., peer=..., work=100_000, unit="interactions")
    benchmark.report()

Results go to `benchmarks/results/<name>.json`. A ratio above 1 means that zoo is faster.
"""

import json
import os
import platform
import time
from pathlib import Path
from statistics import median

RESULTS = Path(__file__).parent / "results"


class Benchmark:
    """Cases of one method against one peer.

    Args:
        name: name of the result file.
        peer: name and version of what zoo is compared with.
    """

    def __init__(self, name, peer):
        self.name, self.peer, self.cases = name, peer, []

    def case(self, title, ours, peer, work=1, unit="calls", repeats=7):
        """Time two functions without arguments that do the same `work`, in turns.

        Each runs once before the clock starts, so that compilation is not counted.
        """
        ours(), peer()
        times = {"ours": [], "peer": []}
        for repeat in range(repeats):
            pair = (("ours", ours), ("peer", peer))
            for key, function in pair if repeat % 2 == 0 else pair[::-1]:
                start = time.perf_counter()
                function()
                times[key].append(time.perf_counter() - start)
        a, b = median(times["ours"]), median(times["peer"])
        self.cases.append(
            {"case": title, "unit": f"{unit}/s", "ours": work / a, "peer": work / b, "ratio": b / a, "seconds": times},
        )
        print(f"{title}: zoo {work / a:,.0f} {unit}/s, {self.peer} {work / b:,.0f} {unit}/s, ratio {b / a:.2f}")

    def report(self):
        """Write the results and print them as a table."""
        from rich.console import Console
        from rich.table import Table

        table = Table(title=f"{self.name} against {self.peer}")
        for column in ("case", "unit", "zoo", "peer", "ratio"):
            table.add_column(column, justify="left" if column in ("case", "unit") else "right")
        for c in self.cases:
            table.add_row(c["case"], c["unit"], f"{c['ours']:,.0f}", f"{c['peer']:,.0f}", f"{c['ratio']:.2f}")
        Console().print(table)
        RESULTS.mkdir(exist_ok=True)
        import keras

        machine = {"cpu": platform.processor() or platform.machine(), "cores": os.cpu_count(), "python": platform.python_version()}
        record = {
            "peer": self.peer,
            "keras": keras.__version__,
            "backend": keras.backend.backend(),
            "machine": machine,
            "cases": self.cases,
        }
        (RESULTS / f"{self.name}.json").write_text(json.dumps(record, indent=1) + "\n")
