"""Figures of what the methods produce."""

from zoo.plots.activations import mean_activations as mean_activations
from zoo.plots.attention import attention_hops as attention_hops
from zoo.plots.bars import bars as bars
from zoo.plots.embedding import embedding as embedding
from zoo.plots.heatmaps import draw_heatmaps as draw_heatmaps
from zoo.plots.heatmaps import heatmaps as heatmaps
from zoo.plots.image_grid import image_grid as image_grid
from zoo.plots.initialisation import layer_variances as layer_variances
from zoo.plots.learning_curves import learning_curves as learning_curves
from zoo.plots.patches import attended_patches as attended_patches
from zoo.plots.segmentation import class_maps as class_maps
from zoo.plots.segmentation import overlay as overlay
from zoo.plots.segmentation import side_by_side as side_by_side
from zoo.plots.sensitivity import sensitivity as sensitivity
from zoo.plots.uncertainty import sampled_segmentation as sampled_segmentation
