"""Trunks: networks with weights from ImageNet that give feature maps of images, whole classifiers, and their weights for other networks."""

from zoo.trunks.checkpoint import read_checkpoint as read_checkpoint
from zoo.trunks.classes import imagenet_classes as imagenet_classes
from zoo.trunks.extraction import features as features
from zoo.trunks.network import VGG as VGG
from zoo.trunks.network import Whole as Whole
from zoo.trunks.network import architecture_only as architecture_only
from zoo.trunks.network import check as check
from zoo.trunks.network import classifier as classifier
from zoo.trunks.network import ends as ends
from zoo.trunks.network import is_building as is_building
from zoo.trunks.network import names as names
from zoo.trunks.network import prepared as prepared
from zoo.trunks.network import pyramid as pyramid
from zoo.trunks.network import strides as strides
from zoo.trunks.network import trunk as trunk
from zoo.trunks.network import wanted as wanted
from zoo.trunks.transfer import copy_convolutions as copy_convolutions
