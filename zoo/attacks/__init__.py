"""Attacks on classifiers: pure functions of a batch, to be compiled by whoever calls them."""

from zoo.attacks.carlini_wagner import Nearest as Nearest
from zoo.attacks.carlini_wagner import carlini_wagner as carlini_wagner
from zoo.attacks.gradient import amplitude as amplitude
from zoo.attacks.gradient import iterated as iterated
from zoo.attacks.gradient import jacobian as jacobian
from zoo.attacks.gradient import loss_gradient as loss_gradient
from zoo.attacks.gradient import nearest_class as nearest_class
from zoo.attacks.gradient import one_step as one_step
from zoo.attacks.labels import as_numbers as as_numbers
from zoo.attacks.norms import NORMS as NORMS
from zoo.attacks.norms import length as length
from zoo.attacks.norms import project as project
from zoo.attacks.norms import random_in_ball as random_in_ball
from zoo.attacks.norms import steepest as steepest
from zoo.attacks.saliency import Attacked as Attacked
from zoo.attacks.saliency import best_features as best_features
from zoo.attacks.saliency import best_pairs as best_pairs
from zoo.attacks.saliency import budget as budget
from zoo.attacks.saliency import forward_derivatives as forward_derivatives
from zoo.attacks.saliency import jacobian_saliency as jacobian_saliency
from zoo.attacks.saliency import saliency_map as saliency_map
