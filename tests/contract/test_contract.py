"""Every method of the index obeys one contract. Nothing is listed here by hand.

The checks of a method share a model, so that they run in one process where there are several.
"""

from functools import lru_cache

import pytest

import zoo
from zoo import index, testing


@lru_cache(maxsize=1)
def checks_of(name):
    return dict(testing.checks(getattr(zoo.applications, name)))


@pytest.mark.parametrize("check", testing.CHECKS)
@pytest.mark.parametrize("name", [pytest.param(e.name, marks=pytest.mark.xdist_group(e.name)) for e in index.ENTRIES])
def test_contract(name, check):
    checks_of(name)[check]()
