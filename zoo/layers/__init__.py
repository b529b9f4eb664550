"""Layers that several methods share or that a user wants alone."""

from zoo.layers.conditional_gru import ConditionalGRU as ConditionalGRU
from zoo.layers.dilated_context import DilatedContext as DilatedContext
from zoo.layers.elastic_deformation import ElasticDeformation as ElasticDeformation
from zoo.layers.feature_sum import FeatureSum as FeatureSum
from zoo.layers.grad_layer import GradLayer as GradLayer
from zoo.layers.grad_layer import Pick as Pick
from zoo.layers.grad_layer import finalize as finalize
from zoo.layers.highway import Highway as Highway
from zoo.layers.max_pooling_dropout import MaxPoolingDropout2D as MaxPoolingDropout2D
from zoo.layers.max_unpooling import MaxPoolingWithArgmax2D as MaxPoolingWithArgmax2D
from zoo.layers.max_unpooling import MaxUnpooling2D as MaxUnpooling2D
from zoo.layers.mean_field import MeanFieldCRF as MeanFieldCRF
from zoo.layers.monte_carlo_dropout import MonteCarloDropout as MonteCarloDropout
from zoo.layers.monte_carlo_dropout import dropout_moments as dropout_moments
from zoo.layers.permutohedral import PermutohedralLattice as PermutohedralLattice
from zoo.layers.permutohedral import exact_filter as exact_filter
from zoo.layers.permutohedral import spatial_filter as spatial_filter
from zoo.layers.position_encoding import PositionEncoding as PositionEncoding
from zoo.layers.random_shift_flip import RandomShiftFlip as RandomShiftFlip
from zoo.layers.re_net_layer import ReNetLayer as ReNetLayer
from zoo.layers.sequence_pooling import SequencePooling as SequencePooling
from zoo.layers.stochastic_pooling import StochasticPooling2D as StochasticPooling2D
from zoo.layers.symbol_dropout import SymbolDropout as SymbolDropout
from zoo.layers.word_prediction import HierarchicalSoftmax as HierarchicalSoftmax
from zoo.layers.word_prediction import NegativeSampling as NegativeSampling
from zoo.layers.word_prediction import UnigramSampler as UnigramSampler
