"""Losses that several methods share or that a user wants alone."""

from zoo.losses.class_weighted_crossentropy import ClassWeightedCrossentropy as ClassWeightedCrossentropy
from zoo.losses.class_weighted_crossentropy import median_frequency_weights as median_frequency_weights
from zoo.losses.deep_lda import DeepLDALoss as DeepLDALoss
from zoo.losses.deep_lda import deep_lda_loss as deep_lda_loss
from zoo.losses.deep_lda import lda_eigen as lda_eigen
from zoo.losses.deep_lda import lda_statistics as lda_statistics
from zoo.losses.gram import content_loss as content_loss
from zoo.losses.gram import gram_matrix as gram_matrix
from zoo.losses.gram import style_loss as style_loss
from zoo.losses.natural_images import alpha_norm as alpha_norm
from zoo.losses.natural_images import total_variation as total_variation
from zoo.losses.ranking import Positives as Positives
from zoo.losses.ranking import bpr_loss as bpr_loss
from zoo.losses.ranking import first_violation as first_violation
from zoo.losses.ranking import kth_positive as kth_positive
from zoo.losses.ranking import logistic_loss as logistic_loss
from zoo.losses.ranking import warp_loss as warp_loss
from zoo.losses.ranking import warp_weight as warp_weight
from zoo.losses.sequence_crossentropy import sequence_crossentropy as sequence_crossentropy
from zoo.losses.virtual_adversarial import kl_divergence as kl_divergence
from zoo.losses.virtual_adversarial import local_distributional_smoothness as local_distributional_smoothness
from zoo.losses.virtual_adversarial import virtual_adversarial_perturbation as virtual_adversarial_perturbation
from zoo.losses.weighted_crossentropy import WeightedCrossentropy as WeightedCrossentropy
from zoo.losses.weighted_crossentropy import separate as separate
from zoo.losses.weighted_crossentropy import weight_map as weight_map
