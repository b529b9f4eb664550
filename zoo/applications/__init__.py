"""All methods. Importing this room imports each of them, so that Keras finds the classes of saved models."""

# TEMPORARY while the nine are written side by side: explicit imports follow
import importlib

from zoo import index

for _entry in index.ENTRIES:
    try:
        globals()[_entry.name] = getattr(importlib.import_module(f"zoo.applications.{_entry.stem}"), _entry.name)
    except ModuleNotFoundError as _error:
        if _error.name != f"zoo.applications.{_entry.stem}":
            raise
    except Exception as _error:
        print(f"zoo.applications.{_entry.stem}: {_error!r}")
