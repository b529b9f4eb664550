"""Metrics that Keras does not have."""

from zoo.metrics.perplexity import Perplexity as Perplexity
from zoo.metrics.pixel_accuracy import PixelAccuracy as PixelAccuracy
from zoo.metrics.ranking import auc_score as auc_score
from zoo.metrics.ranking import precision_at_k as precision_at_k
from zoo.metrics.ranking import predicted_ranks as predicted_ranks
from zoo.metrics.ranking import recall_at_k as recall_at_k
from zoo.metrics.ranking import reciprocal_rank as reciprocal_rank
from zoo.metrics.segmentation import cells as cells
from zoo.metrics.segmentation import challenge_errors as challenge_errors
from zoo.metrics.segmentation import iou as iou
from zoo.metrics.segmentation import pixel_error as pixel_error
from zoo.metrics.segmentation import rand_error as rand_error
from zoo.metrics.segmentation import warping_error as warping_error
