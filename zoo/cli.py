"""The command `zoo`: list, info, train, tune, export, serve, chat, demo. `list` and `info` import no backend and answer at once."""

import argparse
import json
import math
import subprocess
import sys
from pathlib import Path

import zoo
from zoo import evidence, index, preset_format, presets
from zoo.demo.kinds import KINDS

_COLOURS = {"yes": "green", "undecided": "yellow", "no": "red"}
SOURCE = "the folder applications/ of the source repository (git clone, then pip install -e .)"


def main(argv=None):
    """Run the command line.

    Args:
        argv: arguments instead of `sys.argv[1:]`.

    Returns:
        Exit code: 0 on success, 2 for a mistake in the arguments, 1 for a demonstration that did not come out.
    """
    args = _parser().parse_args(argv)
    try:
        return args.run(args) or 0
    except (ValueError, ImportError, OSError) as error:
        print(f"zoo: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


# those of zoo.tuning, which imports Keras
TUNERS = ("random", "bayesian", "hyperband", "grid")


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        """One line, as for all other errors."""
        self.exit(2, f"zoo: error: {message} (see {self.prog} --help)\n")


def _parser():
    parser = _Parser(prog="zoo", description="Published deep-learning methods as Keras models.")
    parser.add_argument("--version", action="version", version=f"zoo {zoo.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(run, name, text):
        sub = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        sub.set_defaults(run=run)
        return sub

    sub = command(_list, "list", "list the methods with their presets and evidence")
    sub.add_argument("text", nargs="?", help="show methods with this text in their name, paper or summary")
    sub.add_argument("--task", help=f"show methods for this task: {', '.join(_tasks())}")
    sub.add_argument("--json", action="store_true", help="print JSON: row, name, task, paper, presets, parameters, evidence")

    sub = command(_info, "info", "show one method: paper, presets, evidence, first steps")
    sub.add_argument("name", help="class, file name or row of a method, such as UNet, unet or 19")
    sub.add_argument("--json", action="store_true", help="print JSON")

    sub = command(_train, "train", "run the recipe of a method: data, training, evidence, preset")
    sub.add_argument("name", help="a method")
    # argparse would list them among what is missing
    sub.add_argument("options", nargs=argparse.REMAINDER, help="options of the recipe, such as --quick or --seeds 5").required = False

    sub = command(_tune, "tune", "search the hyperparameters of a method with keras-tuner")
    sub.add_argument("name", help="a method")
    data = sub.add_mutually_exclusive_group(required=True)
    data.add_argument("--data", type=Path, help=".npz file with the arrays x and y; fields of several inputs as x/NAME")
    data.add_argument("--example", action="store_true", help="random data of the right shapes and a small model, to try it out")
    sub.add_argument("--trials", type=_count_from(1), default=10, help="number of trials (default: 10)")
    sub.add_argument("--epochs", type=_count_from(1), default=5, help="epochs a trial (default: 5)")
    sub.add_argument("--tuner", default="random", choices=TUNERS, metavar="TUNER", help=f"{', '.join(TUNERS)} (default: random)")
    sub.add_argument("--objective", default="auto", help="metric to search by, such as val_accuracy (default: the validation loss)")
    sub.add_argument("--seed", type=int, default=0, help="of the search (default: 0)")
    sub.add_argument("--out", type=Path, help="folder of the search, which goes on where it stopped (default: runs/tuning/<method>)")
    sub.add_argument("--overwrite", action="store_true", help="start anew in a folder that holds a search")

    sub = command(_export, "export", "export a preset as a SavedModel with named signatures")
    sub.add_argument("preset", help="a preset (shipped name, folder, https://, hf:// or kaggle:// address), or a method with one preset")
    sub.add_argument("path", type=Path, help="target folder; version 1 is written to PATH/1")

    sub = command(_serve, "serve", "serve a SavedModel over HTTP with TensorFlow Serving's REST protocol")
    sub.add_argument("path", type=Path, help="a SavedModel, a folder of its versions, or a folder of such folders")
    sub.add_argument("--name", help="name of the model in addresses (default: the folder's name)")
    sub.add_argument("--port", type=_count_from(0, 65535), default=8501, help="port, 0 for a free one (default: 8501)")
    sub.add_argument("--host", default="127.0.0.1", help="address to listen on, 0.0.0.0 for all (default: 127.0.0.1)")
    sub.add_argument(
        "--max-batch-size", type=_count_from(1), default=32, help="most rows that concurrent requests share in a run (default: 32)"
    )
    sub.add_argument(
        "--batch-timeout-ms", type=_number_from(0), default=2.0, help="how long a batch waits for arriving requests (default: 2)"
    )
    sub.add_argument("--max-body-mb", type=_number_above(0), default=32.0, help="refuse larger request bodies (default: 32)")
    sub.add_argument("--timeout-s", type=_number_above(0), default=30.0, help="limit on reading and on answering a request (default: 30)")
    sub.add_argument(
        "--grpc-port", type=_count_from(0, 65535), help="also answer TensorFlow Serving's gRPC there, 0 for a free port (default: no gRPC)"
    )

    sub = command(_chat, "chat", "talk with a preset that answers, until an empty line")
    sub.add_argument("preset", help="as of export")
    sub.add_argument("--beams", type=_count_from(1), default=5, help="replies that are followed at once (default: 5)")

    sub = command(_demo, "demo", "try a method on a page of the browser; without a name, go the whole way with a U-Net in the terminal")
    sub.add_argument("preset", nargs="?", help=f"as of export, of one of {', '.join(KINDS)}")
    sub.add_argument("--port", type=_count_from(0, 65535), default=7860, help="port of the page, 0 for a free one (default: 7860)")
    sub.add_argument("--host", default="127.0.0.1", help="address to listen on, 0.0.0.0 for all (default: 127.0.0.1)")
    sub.add_argument("--no-browser", action="store_true", help="only print the address of the page")
    sub.add_argument("--out", type=Path, default=Path("demo"), help="folder for the files of the whole way (default: demo)")
    return parser


def _count_from(low, high=None):
    """A type of argparse: whole numbers from `low` to `high`."""
    limits = f"at least {low}" if high is None else f"from {low} to {high}"
    return _checked(int, lambda n: low <= n and (high is None or n <= high), f"a whole number, {limits}")


def _number_from(low):
    return _checked(float, lambda n: low <= n < math.inf, f"a number, at least {low}")


def _number_above(low):
    return _checked(float, lambda n: low < n < math.inf, f"a number above {low}")


def _checked(kind, is_good, expected):
    def parse(text):
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not is_good(value):
            raise argparse.ArgumentTypeError(f"must be {expected}. Received: {text!r}")
        return value

    return parse


# --- list and info ---


def _tasks():
    return sorted({entry.task for entry in index.ENTRIES})


def _records(entries):
    shipped = presets.shipped()
    records = []
    for entry in entries:
        own = {name: preset for name, preset in shipped.items() if preset["class"] == entry.name}
        claims = [claim for preset in own.values() for claim in preset["claims"]]
        records.append(
            {
                "row": entry.row,
                "name": entry.name,
                "title": entry.title,
                "task": entry.task,
                "paper": entry.paper,
                "authors": entry.authors,
                "year": entry.year,
                "url": entry.url,
                "summary": entry.summary,
                "presets": list(own),
                "parameters": {name: preset["parameters"] for name, preset in own.items()},
                "evidence": evidence.count(claims),
            }
        )
    return records


def _list(args):
    if args.task is not None and args.task not in _tasks():
        raise ValueError(f"`--task` must be one of {', '.join(_tasks())}. Received: {args.task!r}")
    text = (args.text or "").lower()
    entries = [
        entry
        for entry in index.ENTRIES
        if args.task in (None, entry.task)
        and text in " ".join((entry.name, entry.title, entry.paper, entry.authors, entry.summary)).lower()
    ]
    records = _records(entries)
    if args.json:
        print(json.dumps(records, indent=1))
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console()
    # one line a method; what does not fit is in `zoo info` and in --json
    has_presets = console.width >= 116
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), collapse_padding=True)
    table.add_column("row", justify="right", style="dim")
    table.add_column("method", style="bold cyan", no_wrap=True)
    table.add_column("task", no_wrap=True)
    if has_presets:
        table.add_column("preset", no_wrap=True)
        table.add_column("weights", justify="right", no_wrap=True)
    for verdict, colour in _COLOURS.items():
        table.add_column(verdict, justify="right", style=colour, no_wrap=True)
    for record in records:
        table.add_row(
            str(record["row"]),
            record["name"],
            record["task"],
            *(["\n".join(record["presets"]), "\n".join(_count(n) for n in record["parameters"].values())] if has_presets else []),
            *(str(record["evidence"][verdict] or "") for verdict in _COLOURS),
        )
    console.print(table)
    text = f"{len(records)} of {len(index.ENTRIES)} methods, and what came of their papers' claims. zoo info NAME shows the figures of one."
    console.print(f"[dim]{text}[/]")


def _info(args):
    entry = index.find(args.name)
    record = _records([entry])[0]
    claims = {name: presets.shipped()[name]["claims"] for name in record["presets"]}
    if args.json:
        print(json.dumps({**record, "claims": claims}, indent=1))
        return
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    console.print(f"[bold cyan]{entry.name}[/]  {entry.title}, {entry.task}, row {entry.row}")
    console.print(entry.summary)
    console.print(f"[dim]{entry.paper}, {entry.authors} {entry.year}, {entry.url}[/]\n")
    for name in record["presets"]:
        title = f"{name} ({_count(record['parameters'][name])} parameters)"
        table = Table("claim", "metric", "here", "baseline", "ahead", "verdict", title=title, title_justify="left")
        for claim in claims[name]:
            table.add_row(
                claim["claim"],
                f"{claim['metric']} ({'higher' if claim['higher_is_better'] else 'lower'} is better)",
                evidence.summary(claim["values"]),
                f"{evidence.summary(claim['baseline']['values'])} ({claim['baseline']['name']})",
                evidence.ahead(claim),
                f"[{_COLOURS[claim['verdict']]}]{claim['verdict']}[/]",
            )
        console.print(table, "")
    start = f'.from_pretrained("{record["presets"][0]}")' if record["presets"] else "()"
    console.print(f"import zoo\nmodel = zoo.applications.{entry.name}{start}")
    console.print(f"\nzoo train {entry.stem} --quick    zoo tune {entry.stem} --example    docs/methods/{entry.stem}.md")


def _count(number):
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g}{letter}"
    return str(number)


# --- train, tune, export, serve, chat, demo ---


def _train(args):
    entry = index.find(args.name)
    recipe = Path(zoo.__file__).parent.parent / "applications" / entry.stem / "train.py"
    if not recipe.is_file():
        raise ValueError(
            f"the recipe of {entry.name} is applications/{entry.stem}/train.py, which is not installed; it comes with {SOURCE}"
        )
    return subprocess.call([sys.executable, str(recipe), *args.options])


def _tune(args):
    entry = index.find(args.name)
    from zoo.npz import read_npz

    data = None if args.example else read_npz(args.data)
    _be_quiet()
    from zoo import applications, tuning

    cls = getattr(applications, entry.name)
    config = cls.example_config() if args.example else {}
    result = tuning.search(
        cls,
        cls(**config).example_data(batch_size=16) if data is None else data,
        max_trials=None if args.tuner == "hyperband" else args.trials,
        tuner=args.tuner,
        objective=args.objective,
        directory=args.out or Path("runs/tuning") / entry.stem,
        epochs=args.epochs,
        seed=args.seed,
        overwrite=args.overwrite,
        **config,
    )
    result.show()


def _export(args):
    name = _preset_of(args.preset)
    # a preset that is damaged or cannot be had is refused before Keras is imported
    folder = presets.resolve(name)
    _be_quiet()
    from zoo import serving

    model = presets.load(folder)
    folder = serving.export(model, args.path)
    print(f"{name} exported to {folder}; signatures: {', '.join(serving.load(folder).signatures)}")
    print(f"zoo serve {args.path}")


def _chat(args):
    name = _preset_of(args.preset)
    folder = presets.resolve(name)
    _be_quiet()
    model = presets.load(folder)
    if not hasattr(model, "chat"):
        raise ValueError(f"`preset` must be one that answers (zoo list --task dialogue). Received: {name!r}")
    model.chat(beams=args.beams)


def _preset_of(text):
    """A preset as it is; a method's name becomes its only preset."""
    if text in presets.shipped() or "://" in text or Path(text).is_dir():
        return text
    try:
        entry = index.find(text)
    except ValueError:
        raise ValueError(f"`preset` must be a preset or a method (see zoo list). Received: {text!r}") from None
    own = [name for name, preset in presets.shipped().items() if preset["class"] == entry.name]
    if len(own) != 1:
        raise ValueError(f"`preset` must name one of the presets of {entry.name}: {', '.join(own) or 'it ships none'}. Received: {text!r}")
    return own[0]


def _serve(args):
    _require_saved_model(args.path)
    _be_quiet()
    from zoo import serving

    options = {key: value for key, value in vars(args).items() if key not in ("run", "path")}
    serving.serve(args.path, on_ready=_announce, **options)
    print("stopped", flush=True)


def _require_saved_model(path):
    """The server's own check in outline, before TensorFlow is imported."""
    if not path.exists():
        raise ValueError(f"`path` must be a SavedModel or a folder of them. Received: {path}, which does not exist")
    if not any(any(path.glob(f"{level}saved_model.pb")) for level in ("", "*/", "*/*/")):
        raise ValueError(f"`path` must be a SavedModel, a folder of its versions, or a folder of such folders. Received: {path}")


def _announce(server):
    for name, model in server.models.items():
        signatures = ", ".join(sorted(model.signatures))
        print(f"serving {name} version {model.version} ({signatures}) at {server.url}/v1/models/{name}:predict", flush=True)


def _demo(args):
    if args.preset:
        return _page(args)
    _be_quiet()
    from zoo.demo import tour

    code = tour.run(args.out)
    print(f"zoo demo NAME opens a page in the browser, for {', '.join(KINDS)}")
    return code


def _page(args):
    name = _preset_of(args.preset)
    folder = presets.resolve(name)
    method = preset_format.read_record(folder)["class"]
    if method not in KINDS:
        raise ValueError(f"`preset` must be of a method that has a page: {', '.join(KINDS)}. Received: {name!r}, a {method}")
    _be_quiet()
    from zoo.demo import pages

    pages.show(folder, name, args.host, args.port, not args.no_browser)


def _be_quiet():
    """Import Keras without the start-up messages of TensorFlow, which writes them past Python to the descriptor of stderr."""
    import logging
    import os

    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    sys.stderr.flush()
    kept, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        import keras  # noqa: F401 - brings the backend and its noise
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(null)


if __name__ == "__main__":
    sys.exit(main())
