"""A hook of mkdocs: writes the gallery from index and cards, the API pages from docstrings, and the navigation.

`python docs/generate.py` judges the evidence of the presets anew and rewrites what repeats it: their cards, the table of methods in
README.md, and the claims on each method's page.
"""

import re
import shutil
from pathlib import Path

from zoo import index, presets
from zoo.datasets import records
from zoo.evidence import ahead, count, renew, summary

DOCS = Path(__file__).parent
README = DOCS.parent / "README.md"
ROOMS = (
    "attacks",
    "layers",
    "losses",
    "metrics",
    "decoding",
    "distributions",
    "relevance",
    "optimizers",
    "callbacks",
    "initializers",
    "datasets",
    "environments",
    "plots",
    "text",
    "trunks",
    "tuning",
)
# loaders of a data set beside the one that it is called after
LOADERS = {
    "babi": ("babi.read",),
    "brown": ("brown_passages",),
    "emoji": ("emoji_people",),
    "film_dialogues": ("film_dialogues.films",),
    "mnist": ("binarized_mnist",),
    "movie_snippets": ("movie_targets",),
}
MACHINERY = ("model", "fields", "arguments", "presets", "evidence", "serving", "testing", "autodiff", "files", "index")


def on_config(config):
    """Called by mkdocs before it reads the pages."""
    for folder in ("gallery", "api"):
        shutil.rmtree(DOCS / folder, ignore_errors=True)
        (DOCS / folder).mkdir()
    config["nav"] = [
        {"Home": "index.md"},
        {"Gallery": _gallery()},
        {"Methods": [{e.title: f"methods/{e.stem}.md"} for e in _entries() if (DOCS / "methods" / f"{e.stem}.md").exists()]},
        {"Guides": [{p.stem.replace("_", " ").capitalize(): p.name} for p in sorted(DOCS.glob("*.md")) if p.name != "index.md"]},
        {"API": _api()},
    ]
    return config


def _entries():
    return sorted(index.ENTRIES, key=lambda e: (e.task, e.title))


def _gallery():
    """A page of pictures, and one page for each card."""
    shipped, pages, tiles = presets.shipped(), [], []
    for entry in _entries():
        for name, record in shipped.items():
            if record["class"] != entry.name:
                continue
            (DOCS / "gallery" / f"{name}.md").write_text((record["folder"] / "card.md").read_text().replace("figure.png", f"{name}.png"))
            picture = ""
            if (record["folder"] / "figure.png").exists():
                shutil.copy(record["folder"] / "figure.png", DOCS / "gallery" / f"{name}.png")
                picture = f"[![{entry.title}]({name}.png){{ width=480 }}]({name}.md)\n\n"
            tiles.append(
                f"## {entry.title}\n\n*{entry.task}*, {entry.authors} {entry.year}. {entry.summary}\n\n{picture}"
                f"Claims: {_verdicts(record['claims'])}. [Card of `{name}`]({name}.md), [method](../methods/{entry.stem}.md)\n"
            )
            pages.append({name: f"gallery/{name}.md"})
    (DOCS / "gallery" / "index.md").write_text("# Gallery\n\n" + "\n".join(tiles))
    return ["gallery/index.md", *pages]


def _api():
    """One page for each method, room and part of the machinery."""
    nav = []
    for title, modules in (
        ("Methods", [f"applications.{e.stem}" for e in index.ENTRIES]),
        ("Rooms", ROOMS),
        ("Machinery", MACHINERY),
    ):
        pages = []
        for module in modules:
            (DOCS / "api" / f"{module}.md").write_text(f"# zoo.{module}\n\n{_members(module)}")
            pages.append({module.removeprefix("applications."): f"api/{module}.md"})
        nav.append({title: pages})
    return nav


def _members(module):
    """A room re-exports from its files; each file is documented, those of packages in it too."""
    room = DOCS.parent / "zoo" / module
    files = [file.with_suffix("") for file in sorted(room.rglob("*.py")) if not file.stem.startswith("__")]
    names = [".".join((module, *file.relative_to(room).parts)) for file in files] if room.is_dir() else [module]
    return "".join(f"::: zoo.{name}\n\n" for name in names)


def readme_with_table():
    """README.md with a table of methods from index and evidence."""
    shipped = presets.shipped().values()
    rows = ["| method | task | paper | claims: yes | undecided | no |", "|---|---|---|---|---|---|"]
    for entry in _entries():
        claims = [claim for record in shipped if record["class"] == entry.name for claim in record["claims"]]
        method = f"[{entry.title}](docs/methods/{entry.stem}.md), `{entry.name}`"
        paper = f"[{entry.authors} {entry.year}]({entry.url})"
        rows.append(f"| {method} | {entry.task} | {paper} | {' | '.join(str(n) for n in count(claims).values())} |")
    total = count(claim for record in shipped for claim in record["claims"])
    rows.append(f"| {len(index.ENTRIES)} methods | | | {' | '.join(str(n) for n in total.values())} |")
    return _between_markers(README.read_text(), "methods", "\n".join(rows))


def datasets_with_table():
    """datasets.md with a table of all data sets from their records and the recipes that load them."""
    recipes = {entry: (DOCS.parent / "applications" / entry.stem / "train.py").read_text() for entry in _entries()}
    rows = ["| loader | data | size | source | terms | recipes that use it |", "|---|---|---|---|---|---|"]
    for name, record in sorted(records.records().items()):
        package, address = record.files[0].package, record.files[0].url
        source = "ships with zoo" if not (package or address) else f"package [{package}]({record.url})" if package else "download"
        called = re.compile(rf"datasets\.({'|'.join([name, *LOADERS.get(name, ())])})\(")
        methods = [f"[{entry.title}](methods/{entry.stem}.md)" for entry, recipe in recipes.items() if called.search(recipe)]
        loader = LOADERS[name][0] if name in ("babi", "film_dialogues") else name
        rows.append(f"| `{loader}` | {record.title} | {record.size} | {source} | {record.terms} | {', '.join(methods) or '-'} |")
    return _between_markers((DOCS / "datasets.md").read_text(), "datasets", "\n".join(rows))


def page_with_evidence(entry):
    """The page of a method with the claims of its presets."""
    parts = []
    for name, record in presets.shipped().items():
        if record["class"] != entry.name:
            continue
        rows = [f"Preset [`{name}`](../gallery/{name}.md), mean ± standard deviation over the seeds:", ""]
        rows += ["| claim | metric | here | baseline | ahead, 95 % interval | verdict |", "|---|---|---|---|---|---|"]
        rows += [_claim(claim) for claim in record["claims"]]
        parts.append("\n".join(rows))
    return _between_markers(_page(entry).read_text(), "evidence", "\n\n".join(parts))


def _claim(claim):
    baseline = f"{summary(claim['baseline']['values'])} ({claim['baseline']['name']})"
    metric = f"{claim['metric']}, {'higher' if claim['higher_is_better'] else 'lower'} is better"
    return f"| {claim['claim']} | {metric} | {summary(claim['values'])} | {baseline} | {ahead(claim)} | {claim['verdict']} |"


def _verdicts(claims):
    return ", ".join(f"{n} {verdict}" for verdict, n in count(claims).items() if n)


def _page(entry):
    return DOCS / "methods" / f"{entry.stem}.md"


def _between_markers(page, name, text):
    pattern = rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)"
    return re.sub(pattern, lambda m: f"{m[1]}\n{text}\n\n{m[2]}", page, flags=re.DOTALL)


if __name__ == "__main__":
    for preset in presets.shipped().values():
        renew(preset["folder"])
    README.write_text(readme_with_table())
    (DOCS / "datasets.md").write_text(datasets_with_table())
    for method in index.ENTRIES:
        _page(method).write_text(page_with_evidence(method))
