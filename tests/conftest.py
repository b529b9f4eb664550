import os
import resource
import sys
import zlib
from pathlib import Path

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# what a test compiles runs once or twice: to optimise it takes longer than it saves, on JAX nearly half of the time
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true")
sys.path.insert(0, str(Path(__file__).parent))
PEAKS = {"peak": 0.0}


@pytest.fixture(autouse=True)
def seeds(request):
    """Every test has random numbers of its own, whatever ran before it in the same process."""
    import keras
    import numpy as np

    seed = zlib.crc32(request.node.nodeid.encode())
    keras.utils.set_random_seed(seed)
    if isinstance(getattr(request.module, "RNG", None), np.random.Generator):
        request.module.RNG.bit_generator.state = np.random.default_rng(seed).bit_generator.state


def pytest_sessionfinish(session):
    """Keep the most memory that this process has had, for the last line of the report."""
    scale = 2**30 if sys.platform == "darwin" else 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / scale
    getattr(session.config, "workeroutput", PEAKS)["peak"] = max(peak, PEAKS["peak"])


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    """Take it from a worker of pytest-xdist."""
    PEAKS["peak"] = max(PEAKS["peak"], getattr(node, "workeroutput", {}).get("peak", 0.0))


def pytest_terminal_summary(terminalreporter):
    """Memory is bounded as time is: see CONTRIBUTING.md."""
    terminalreporter.write_line(f"largest process: {PEAKS['peak']:.1f} GB")


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
