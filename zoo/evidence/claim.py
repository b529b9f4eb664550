"""A claim and its verdict, which chance cannot give: yes, no, or undecided."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean, stdev
from typing import Any

VERDICTS = ("yes", "undecided", "no")
LEVEL = 0.05


@dataclass(frozen=True)
class Claim:
    """One claim of a paper and what came of it here, one value per seed.

    Args:
        claim: the claim in a sentence.
        paper_value: what the paper reports, in words.
        dataset: the held-out data the metric was measured on.
        metric: name and unit.
        higher_is_better: direction of the metric.
        baseline: name of what it is compared with, trained with the same budget and tuned as hard.
        baseline_values: its metric, one per seed.
        values: the method's metric, one per seed.
        seeds: the seeds, at least three unless the run was quick.
        margin: makes the claim "at least as good": the method may be worse by less than this, stated before the run.
        matters: the smallest difference that matters, stated before the run. The verdict is "no" if the method is ahead by less.
    """

    claim: str
    paper_value: str
    dataset: str
    metric: str
    higher_is_better: bool
    baseline: str
    baseline_values: Sequence[float]
    values: Sequence[float]
    seeds: Sequence[int]
    margin: float = 0.0
    matters: float | None = None

    def __post_init__(self) -> None:
        if not len(self.values) == len(self.baseline_values) == len(self.seeds):
            raise ValueError(
                "`values`, `baseline_values` and `seeds` must have one entry per seed. "
                f"Received: {len(self.values)}, {len(self.baseline_values)}, {len(self.seeds)}"
            )
        if self.margin < 0 or (self.matters is not None and self.matters <= 0):
            raise ValueError(f"`margin` and `matters` must be positive. Received: {self.margin}, {self.matters}")

    @property
    def differences(self) -> list[float]:
        """By how much the method is ahead, one number per seed; positive is better whatever the metric's direction."""
        sign = 1 if self.higher_is_better else -1
        return [sign * (float(ours) - float(theirs)) for ours, theirs in zip(self.values, self.baseline_values)]

    @property
    def interval(self) -> tuple[float, float]:
        """95 % confidence interval of the mean difference (Student's t over the seeds); unbounded for one seed."""
        mean, error = self._mean_and_error()
        if len(self.seeds) < 2:
            return -float("inf"), float("inf")
        from scipy import stats

        half = float(stats.t.ppf(0.975, len(self.seeds) - 1)) * error
        return mean - half, mean + half

    @property
    def p(self) -> float:
        """Probability of such differences if the method were only as good as the baseline (less `margin`): paired one-sided t test."""
        mean, error = self._mean_and_error()
        ahead_by = mean + self.margin
        if len(self.seeds) < 2 or (error == 0 and ahead_by == 0):
            return 0.5
        if error == 0:
            return float(ahead_by < 0)
        from scipy import stats

        return float(stats.t.sf(ahead_by / error, len(self.seeds) - 1))

    @property
    def verdict(self) -> str:
        """`"yes"` or `"no"` where the test says so at 5 %, or the interval lies below the difference that matters; else `"undecided"`."""
        is_too_small = self.matters is not None and self.interval[1] < self.matters
        if is_too_small or self.p > 1 - LEVEL:
            return "no"
        return "yes" if self.p < LEVEL else "undecided"

    def _mean_and_error(self) -> tuple[float, float]:
        """Mean difference and its standard error; differences that rounding alone tells apart have none."""
        differences = self.differences
        spread = stdev(differences) if len(differences) > 1 else 0.0
        scale = max(map(abs, (*map(float, self.values), *map(float, self.baseline_values))), default=0.0)
        return fmean(differences), 0.0 if spread <= 1e-12 * scale else spread / len(differences) ** 0.5

    def record(self) -> dict[str, Any]:
        """The claim as `evidence.json` stores it."""
        fields = asdict(self)
        baseline = {"name": fields.pop("baseline"), "values": [float(v) for v in fields.pop("baseline_values")]}
        low, high = self.interval
        difference = {"mean": self._mean_and_error()[0], "low": low, "high": high} if len(self.seeds) > 1 else None
        return {
            **fields,
            "values": [float(v) for v in self.values],
            "baseline": baseline,
            "difference": difference,
            "p": self.p,
            "verdict": self.verdict,
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "Claim":
        """The claim that `record` stores; what was computed from its values is left out."""
        names = set(cls.__dataclass_fields__) - {"baseline", "baseline_values"}
        fields = {name: value for name, value in record.items() if name in names}
        return cls(baseline=record["baseline"]["name"], baseline_values=record["baseline"]["values"], **fields)


@dataclass(frozen=True)
class Choice:
    """How the settings of the compared arms were chosen.

    Args:
        data: the development data, which took no part in the reported figures.
        settings: what was chosen, in words.
        tries: name of an arm -> number of settings that were tried for it.
        search: how all arms were searched, where that decides how many are tried, such as `evidence.UNTIL_INSIDE`.

    Raises:
        ValueError: unless each arm had the same number of tries, or the same search.
    """

    data: str
    settings: str
    tries: Mapping[str, int]
    search: str = ""

    def __post_init__(self) -> None:
        if not self.tries or (len(set(self.tries.values())) > 1 and not self.search):
            raise ValueError(f"`tries` must give each arm the same number of settings. Received: {dict(self.tries)}")


def count(claims: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """How many of `claims`, as `evidence.json` stores them, have each verdict: `{"yes": ..., "undecided": ..., "no": ...}`."""
    verdicts = [claim["verdict"] for claim in claims]
    return {verdict: verdicts.count(verdict) for verdict in VERDICTS}


def summary(values: Sequence[float]) -> str:
    """Mean and standard deviation of `values` in a few characters."""
    return f"{fmean(values):.4g} ± {stdev(values) if len(values) > 1 else 0:.2g}"


def ahead(claim: Mapping[str, Any]) -> str:
    """Mean difference in favour of the method, its 95 % interval and p, of a claim as `evidence.json` stores it."""
    if claim["difference"] is None:
        return "one seed"
    mean, low, high = (f"{claim['difference'][key]:+.3g}" for key in ("mean", "low", "high"))
    probability = "p < 0.001" if claim["p"] < 0.001 else f"p = {claim['p']:.2g}"
    margin = f", margin {claim['margin']:g}" if claim["margin"] else ""
    matters = f", matters from {claim['matters']:g}" if claim["matters"] else ""
    return f"{mean} [{low}, {high}], {probability}{margin}{matters}"
