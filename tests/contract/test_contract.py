"""Every method of the index obeys one contract. Nothing is listed here by hand."""

from functools import lru_cache

import pytest

import zoo
from zoo import index, testing


@lru_cache(maxsize=1)
def checks_of(name):
    return dict(testing.checks(getattr(zoo.applications, name)))


@pytest.mark.parametrize("check", testing.CHECKS)
@pytest.mark.parametrize("name", [entry.name for entry in index.ENTRIES])
def test_contract(name, check):
    checks_of(name)[check]()
