"""Loaders of real data and faithful simulators, without Keras."""

from zoo.datasets import babi as babi
from zoo.datasets.clutter import cluttered_digits as cluttered_digits
from zoo.datasets.crops import crop as crop
from zoo.datasets.digits import digits_8x8 as digits_8x8
from zoo.datasets.digits import mnist_5k as mnist_5k
from zoo.datasets.faces import face_scenes as face_scenes
from zoo.datasets.faces import lfw_subset as lfw_subset
from zoo.datasets.faces import orl_faces as orl_faces
from zoo.datasets.languages import languages as languages
from zoo.datasets.microscopy import isbi_em as isbi_em
from zoo.datasets.microscopy import nuclei as nuclei
from zoo.datasets.microscopy import touching_cells as touching_cells
from zoo.datasets.movies import Catalogue as Catalogue
from zoo.datasets.movies import hold_out_items as hold_out_items
from zoo.datasets.movies import latent_catalogue as latent_catalogue
from zoo.datasets.movies import movielens_100k as movielens_100k
from zoo.datasets.movies import split_interactions as split_interactions
from zoo.datasets.movies import with_identity as with_identity
from zoo.datasets.patches import MaskPatches as MaskPatches
from zoo.datasets.reduced import reduced as reduced
from zoo.datasets.snippets import movie_snippets as movie_snippets
from zoo.datasets.street import CAMVID_CLASSES as CAMVID_CLASSES
from zoo.datasets.street import CAMVID_VOID as CAMVID_VOID
from zoo.datasets.street import camvid as camvid
from zoo.datasets.windows import training_windows as training_windows
