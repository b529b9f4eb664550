import os
import sys
from pathlib import Path

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# what a test compiles runs once or twice: to optimise it takes longer than it saves, on JAX nearly half of the time
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true")
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
