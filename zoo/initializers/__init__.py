"""Initialisations, of one weight or of a whole model."""

from zoo.initializers.identity_convolution import IdentityConvolution as IdentityConvolution
from zoo.initializers.lsuv import LayerRecord as LayerRecord
from zoo.initializers.lsuv import lsuv as lsuv
