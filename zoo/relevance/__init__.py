"""Relevance and other signals sent back through a Keras network, layer by layer."""

from zoo.relevance.network import Steps as Steps
from zoo.relevance.network import is_graph as is_graph
from zoo.relevance.rules import RULES as RULES
from zoo.relevance.rules import propagate as propagate
