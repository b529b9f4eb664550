"""Relevance and other signals sent back through a Keras network, layer by layer."""

from zoo.relevance.logits import find_logits as find_logits
from zoo.relevance.logits import gives_probabilities as gives_probabilities
from zoo.relevance.logits import running as running
from zoo.relevance.network import Steps as Steps
from zoo.relevance.network import is_graph as is_graph
from zoo.relevance.rules import RULES as RULES
from zoo.relevance.rules import propagate as propagate
