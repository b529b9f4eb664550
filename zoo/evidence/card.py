"""The card of a preset, written from its evidence alone."""

from collections.abc import Iterator, Mapping
from typing import Any

from zoo import index
from zoo.evidence.claim import ahead, summary
from zoo.evidence.settings import sentences

_HOW_TO_READ = (
    "Mean ± standard deviation over the seeds; *ahead* is the mean difference in favour of the method with its 95 % interval. **yes** or "
    "**no** where a paired one-sided t test over the seeds says so at 5 %, else **undecided**: one of twenty null effects comes out yes."
)


def card(cls_name: str, preset: str, evidence: Mapping[str, Any], has_figure: bool) -> str:
    """Markdown of a preset's card.

    Args:
        cls_name: class of the method.
        preset: name of the preset.
        evidence: content of `evidence.json`.
        has_figure: whether `figure.png` stands beside it.
    """
    entry = index.find(cls_name)
    lines = [
        f"# {preset}",
        "",
        f"`zoo.applications.{entry.name}`: {entry.summary}",
        f"Paper: [{entry.paper}]({entry.url}), {entry.authors} {entry.year}.",
        "",
        "```python",
        f'model = zoo.applications.{entry.name}.from_pretrained("{preset}")',
        "```",
        "",
        "## Does the paper's claim hold here?",
        "",
        *_claims(evidence["claims"]),
        "",
        _HOW_TO_READ,
        f"Measured by `{evidence['command']}` in {_times(evidence)} ({evidence['backend']}).",
    ]
    lines += ["", "![figure](figure.png)"] if has_figure else []
    lines += ["", "## What was measured", "", *_measured(entry.name, evidence)]
    lines += ["", "## Data", "", evidence["data"]]
    lines += ["", "## Notes", "", evidence["notes"]] if evidence["notes"] else []
    return "\n".join(lines) + "\n"


def _claims(claims) -> Iterator[str]:
    yield "| claim | metric | this method | baseline | ahead | in the paper | verdict |"
    yield "|---|---|---|---|---|---|---|"
    for claim in claims:
        arrow = "higher is better" if claim["higher_is_better"] else "lower is better"
        yield (
            f"| {claim['claim']} | {claim['metric']} on {claim['dataset']}, {arrow} | {summary(claim['values'])} "
            f"| {summary(claim['baseline']['values'])} ({claim['baseline']['name']}) | {ahead(claim)} "
            f"| {claim['paper_value']} | **{claim['verdict']}** |"
        )


def _times(evidence) -> str:
    processor = evidence.get("processor_seconds")
    return f"{evidence['seconds']} s" + (f", {processor} s of processor time" if processor is not None else "")


def _measured(name, evidence) -> Iterator[str]:
    found = evidence["differs"]
    yield f"The preset differs from `zoo.applications.{name}()`, its defaults, in:"
    yield ""
    yield from (f"- {sentence}" for sentence in list(sentences(found)) or ["nothing"])
    if not found["training"]:
        yield "- how it was trained: not recorded by the model; see the notes"
    yield ""
    if not evidence["choices"]:
        yield "How many settings were tried for each arm was not recorded; see the notes."
    for choice in evidence["choices"]:
        said = f"{choice['settings']} chosen on {choice['data']}"
        if choice.get("search"):
            tries = ", ".join(f"{arm} {number}" for arm, number in choice["tries"].items())
            yield f"{said}, {choice['search']}. Tries: {tries}."
        else:
            yield f"{said}, {next(iter(choice['tries'].values()))} tries for each of {', '.join(choice['tries'])}."
