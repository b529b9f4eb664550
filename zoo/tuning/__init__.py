"""Searches with keras-tuner over the search space of any method, and studies of one factor at a time."""

from zoo.npz import read_npz as read_npz
from zoo.tuning.hypermodel import hypermodel as hypermodel
from zoo.tuning.script import arguments as arguments
from zoo.tuning.search import SearchResult as SearchResult
from zoo.tuning.search import search as search
from zoo.tuning.sensitivity import SensitivityResult as SensitivityResult
from zoo.tuning.sensitivity import sensitivity as sensitivity
