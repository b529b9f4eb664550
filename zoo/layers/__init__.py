"""Layers that several methods share or that a user wants alone."""

from zoo.layers.elastic_deformation import ElasticDeformation as ElasticDeformation
from zoo.layers.feature_sum import FeatureSum as FeatureSum
from zoo.layers.position_encoding import PositionEncoding as PositionEncoding
