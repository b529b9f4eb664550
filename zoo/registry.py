"""How Keras finds the zoo's classes in a saved model before their modules are imported.

Keras looks a class up among those that are registered by then, and imports no module of other packages by itself. So when Keras is imported
in a process that has imported `zoo`, in whatever order, every name that a saved file can hold is registered with a stand-in,
which imports the class once a file asks for it. Importing this module imports neither Keras nor any room.
"""

import importlib
import sys

from zoo import index

# module -> what it registers; methods are in the index
PARTS = {
    "zoo.applications.char_cnn": ("Quantization",),
    "zoo.applications.crf_as_rnn": ("UpsampleLike",),
    "zoo.environments.linear_quadratic": ("QuadraticReward",),
    "zoo.environments.pendulum": ("PendulumReward",),
    "zoo.initializers.identity_convolution": ("IdentityConvolution",),
    "zoo.layers.attention": ("Attention",),
    "zoo.layers.bag_of_words": ("BagOfWords",),
    "zoo.layers.conditional_gru": ("ConditionalGRU",),
    "zoo.layers.differentiated_softmax": ("DifferentiatedSoftmax",),
    "zoo.layers.dilated_context": ("DilatedContext",),
    "zoo.layers.elastic_deformation": ("ElasticDeformation",),
    "zoo.layers.feature_sum": ("FeatureSum",),
    "zoo.layers.flow_density": ("FlowDensity",),
    "zoo.layers.free_log_std": ("FreeLogStd",),
    "zoo.layers.grad_layer": ("GradLayer", "Pick"),
    "zoo.layers.hierarchical_outputs": ("ClassSoftmax", "TreeSoftmax"),
    "zoo.layers.highway": ("Highway",),
    "zoo.layers.laplacian_pyramid": ("LaplacianPyramid",),
    "zoo.layers.masked_dense": ("MaskedDense",),
    "zoo.layers.max_pooling_dropout": ("MaxPoolingDropout2D",),
    "zoo.layers.max_unpooling": ("MaxPoolingWithArgmax2D", "MaxUnpooling2D"),
    "zoo.layers.mcgsm": ("MCGSM",),
    "zoo.layers.mean_field": ("MeanFieldCRF",),
    "zoo.layers.monte_carlo_dropout": ("MonteCarloDropout",),
    "zoo.layers.noise_contrastive": ("NoiseContrastive",),
    "zoo.layers.normalizing_flows": ("Coupling", "PlanarFlow", "RadialFlow"),
    "zoo.layers.one_hot_convolution": ("OneHotConvolution",),
    "zoo.layers.position_encoding": ("PositionEncoding",),
    "zoo.layers.priors": ("MixturePrior", "SwissRollPrior"),
    "zoo.layers.random_shift_flip": ("RandomShiftFlip",),
    "zoo.layers.re_net_layer": ("ReNetLayer",),
    "zoo.layers.recurrent_decoder": ("RecurrentDecoder",),
    "zoo.layers.recurrent_encoder": ("RecurrentEncoder",),
    "zoo.layers.sampled_outputs": ("TargetSampling", "InfrequentNormalization"),
    "zoo.layers.scheduled_sampling": ("ScheduledSampling",),
    "zoo.layers.sequence_pooling": ("SequencePooling",),
    "zoo.layers.spatial_lstm": ("SpatialLSTM",),
    "zoo.layers.stochastic_pooling": ("StochasticPooling2D",),
    "zoo.layers.symbol_dropout": ("SymbolDropout",),
    "zoo.layers.window_writer": ("WindowWriter",),
    "zoo.layers.word_writer": ("WordWriter",),
    "zoo.layers.winner_take_all": ("KSparse", "LifetimeSparsity", "SpatialSparsity"),
    "zoo.layers.word_prediction": ("HierarchicalSoftmax", "NegativeSampling"),
    "zoo.layers.word_softmax": ("WordSoftmax",),
    "zoo.losses.class_weighted_crossentropy": ("ClassWeightedCrossentropy",),
    "zoo.losses.deep_lda": ("DeepLDALoss",),
    "zoo.losses.weighted_crossentropy": ("WeightedCrossentropy",),
    "zoo.metrics.hits_at": ("HitsAt",),
    "zoo.metrics.perplexity": ("Perplexity",),
    "zoo.metrics.pixel_accuracy": ("PixelAccuracy",),
    "zoo.optimizers.gradient_noise": ("GradientNoise",),
    "zoo.optimizers.momentum_adagrad": ("MomentumAdagrad",),
    "zoo.optimizers.rows": ("RowAdadelta", "RowAdagrad", "RowAdam"),
    "zoo.text.characters": ("KnownSpaces", "lower_case"),
    "zoo.text.turns": ("LastTurns",),
    "zoo.text.words": ("FirstWords", "separate_words"),
    "zoo.trunks.network": ("Whole",),
}


def names():
    """What a saved file can hold: class or function -> its module."""
    parts = {name: module for module, group in PARTS.items() for name in group}
    return {**{entry.name: f"zoo.applications.{entry.stem}" for entry in index.ENTRIES}, **parts}


def register_when_keras_comes():
    """Register the stand-ins: now if Keras is imported, else as soon as it is."""
    if "keras" in sys.modules:
        register()
    else:
        sys.meta_path.insert(0, _Finder())


def register():
    """Put a stand-in into Keras's registry for everything that is not there yet."""
    import keras

    known = keras.saving.get_custom_objects()
    for name, module in names().items():
        if f"zoo>{name}" in known:
            continue
        if name[0].islower():
            # registered as the function itself, since what Keras finds is what it saves again
            keras.saving.register_keras_serializable("zoo", name)(_function(name, module))
        else:
            known[f"zoo>{name}"] = _class(name, module)


def _class(name, module):
    """What Keras calls to rebuild an object: `from_config`, or the class itself where a file holds only its name."""

    def make(cls, *args, **kwargs):
        return _find(name, module)(*args, **kwargs)

    def from_config(*args, **kwargs):
        return _find(name, module).from_config(*args, **kwargs)

    return type(name, (), {"__new__": make, "from_config": staticmethod(from_config), "__module__": module})


def _function(name, module):
    def call(*args, **kwargs):
        return _find(name, module)(*args, **kwargs)

    call.__name__, call.__module__ = name, module
    return call


def _find(name, module):
    return getattr(importlib.import_module(module), name)


class _Finder:
    """Finds Keras as the other finders do, and has its loader register the stand-ins after it has run."""

    def find_spec(self, name, path=None, target=None):
        if name != "keras":
            return None
        others = [finder for finder in sys.meta_path if finder is not self and hasattr(finder, "find_spec")]
        spec = next((spec for finder in others if (spec := finder.find_spec(name, path, target))), None)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def exec_module(module):
                execute(module)
                if self in sys.meta_path:
                    sys.meta_path.remove(self)
                register()

            spec.loader.exec_module = exec_module
        return spec
