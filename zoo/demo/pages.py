"""A page of a browser on which a shipped model is tried; see `zoo.demo.kinds` for which methods have one."""

import os

# before Gradio is imported: it shall tell nobody
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

from zoo import evidence, index, presets
from zoo.demo import kinds

try:
    from zoo.demo import images, texts
except ImportError as error:
    raise ImportError(f"pages of a browser need more packages ({error}): pip install 'zoo-keras[demo]'") from error


def page(model, name):
    """The page of a model.

    Args:
        model: of a method that has one.
        name: of its preset.

    Returns:
        A `gradio.Blocks`, to `launch`.
    """
    entry = index.find(type(model).__name__)
    kind = kinds.KINDS[entry.name]
    counts = evidence.count(presets.shipped()[name]["claims"]) if name in presets.shipped() else {}
    verdicts = ", ".join(f"{number} {verdict}" for verdict, number in counts.items() if number)
    about = f"{entry.summary} [{entry.paper}]({entry.url}), {entry.authors} {entry.year}."
    about += f" Preset `{name}`; of the paper's claims, measured here: {verdicts}." if verdicts else f" Preset `{name}`."
    make = getattr(texts, kind, None) or getattr(images, kind)
    return make(model, title=entry.title, description=about, flagging_mode="never")


def show(folder, name, host="127.0.0.1", port=7860, browser=True):
    """Serve the page of a preset until it is stopped.

    Args:
        folder: of the preset.
        name: of the preset.
        host: address to listen on.
        port: likewise; 0 for a free one.
        browser: whether to open a browser.
    """
    made = page(presets.load(folder), name)
    made.launch(server_name=host, server_port=port or None, inbrowser=browser, quiet=True, prevent_thread_lock=True)
    print(f"{name} at {made.local_url}; Ctrl-C ends it", flush=True)
    made.block_thread()
