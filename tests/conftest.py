import os
import sys
from pathlib import Path

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def toy(monkeypatch):
    """The class `Toy`, in the index for the time of one test."""
    import zoo
    from zoo import index

    monkeypatch.setattr(index, "ENTRIES", index.ENTRIES)
    monkeypatch.setattr(zoo.applications, "Toy", None, raising=False)
    import toy as module

    module.register()
    return module.Toy
