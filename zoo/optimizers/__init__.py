"""Optimizers and groups of optimizers."""

from zoo.optimizers.gradient_noise import GradientNoise as GradientNoise
from zoo.optimizers.minimize import Minimum as Minimum
from zoo.optimizers.minimize import minimize as minimize
from zoo.optimizers.momentum_adagrad import MomentumAdagrad as MomentumAdagrad
from zoo.optimizers.rows import RowAdadelta as RowAdadelta
from zoo.optimizers.rows import RowAdagrad as RowAdagrad
from zoo.optimizers.rows import RowAdam as RowAdam
from zoo.optimizers.trust_region import conjugate_gradient as conjugate_gradient
from zoo.optimizers.trust_region import line_search as line_search
