"""The one table of methods. It imports nothing heavy: `zoo list` and the lazy loading of classes read it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """One method.

    Args:
        row: the method's number in the founding list.
        name: class name in `zoo.applications`.
        stem: file name in `zoo/applications/` and folder name in `applications/`.
        title: the field's name of the method.
        task: what it is for; the filter of `zoo list --task`.
        paper: title of the paper.
        authors: first author and others.
        year: year of the paper.
        arxiv: arXiv identifier.
        summary: one sentence for tables and the gallery.
    """

    row: int
    name: str
    stem: str
    title: str
    task: str
    paper: str
    authors: str
    year: int
    arxiv: str
    summary: str

    @property
    def url(self):
        """Address of the paper."""
        return f"https://arxiv.org/abs/{self.arxiv}"


ENTRIES = (
    Entry(
        2,
        "LightFM",
        "light_fm",
        "LightFM",
        "recommendation",
        "Metadata Embeddings for User and Item Cold-start Recommendations",
        "Kula",
        2015,
        "1507.08439",
        "Hybrid matrix factorisation: users and items are sums of their features' embeddings, so new items can be ranked.",
    ),
    Entry(
        3,
        "GradientNoiseNet",
        "gradient_noise_net",
        "Gradient noise",
        "classification",
        "Adding Gradient Noise Improves Learning for Very Deep Networks",
        "Neelakantan et al.",
        2015,
        "1511.06807",
        "Noise on the gradients of any optimizer lets very deep networks learn from poor starts.",
    ),
    Entry(
        8,
        "VAT",
        "vat",
        "Virtual adversarial training",
        "semi-supervised",
        "Distributional Smoothing with Virtual Adversarial Training",
        "Miyato et al.",
        2015,
        "1507.00677",
        "Wraps a classifier and smooths its predictions where they are most sensitive; learns from unlabelled data too.",
    ),
    Entry(
        12,
        "DeepLDA",
        "deep_lda",
        "Deep linear discriminant analysis",
        "classification",
        "Deep Linear Discriminant Analysis",
        "Dorfer et al.",
        2015,
        "1511.04707",
        "Learns linearly separable features: it raises the smallest eigenvalues of LDA where others lower a cross-entropy.",
    ),
    Entry(
        13,
        "PrioritizedDQN",
        "prioritized_dqn",
        "Prioritized experience replay",
        "reinforcement learning",
        "Prioritized Experience Replay",
        "Schaul et al.",
        2015,
        "1511.05952",
        "(Double) DQN that replays surprising transitions more often, with importance weights against the bias.",
    ),
    Entry(
        19,
        "UNet",
        "unet",
        "U-Net",
        "segmentation",
        "U-Net: Convolutional Networks for Biomedical Image Segmentation",
        "Ronneberger et al.",
        2015,
        "1505.04597",
        "Encoder and decoder with skip connections; learns dense segmentation from some thirty images.",
    ),
    Entry(
        21,
        "DDFD",
        "ddfd",
        "Deep dense face detector",
        "detection",
        "Multi-view Face Detection Using Deep Convolutional Neural Networks",
        "Farfade et al.",
        2015,
        "1502.02766",
        "A classifier of windows run as one convolution over an image pyramid; finds faces in many orientations with a single model.",
    ),
    Entry(
        22,
        "ELUNet",
        "elu_net",
        "Exponential linear units",
        "classification",
        "Fast and Accurate Deep Network Learning by Exponential Linear Units (ELUs)",
        "Clevert et al.",
        2015,
        "1511.07289",
        "The networks of the ELU paper with a choice of activation, and what it does to mean activations and speed.",
    ),
    Entry(
        23,
        "NeuralStyle",
        "neural_style",
        "Neural style transfer",
        "image synthesis",
        "A Neural Algorithm of Artistic Style",
        "Gatys et al.",
        2015,
        "1508.06576",
        "Paints the content of one image in the style of another by matching features and Gram matrices.",
    ),
    Entry(
        25,
        "CRFasRNN",
        "crf_as_rnn",
        "CRF as RNN",
        "segmentation",
        "Conditional Random Fields as Recurrent Neural Networks",
        "Zheng et al.",
        2015,
        "1502.03240",
        "Mean-field inference of a dense CRF as a recurrent layer, trained end to end with the network that gives its unaries.",
    ),
    Entry(
        28,
        "DynamicCapacityNet",
        "dynamic_capacity_net",
        "Dynamic capacity network",
        "classification",
        "Dynamic Capacity Networks",
        "Almahairi et al.",
        2015,
        "1511.07838",
        "A cheap network looks everywhere, an expensive one only at the few patches that could change the answer.",
    ),
    Entry(
        31,
        "BayesianSegNet",
        "bayesian_seg_net",
        "Bayesian SegNet",
        "segmentation",
        "Bayesian SegNet: Model Uncertainty in Deep Convolutional Encoder-Decoder Architectures for Scene Understanding",
        "Kendall et al.",
        2015,
        "1511.02680",
        "Encoder-decoder with remembered pooling indices; dropout at test time gives a segmentation and its uncertainty.",
    ),
    Entry(
        39,
        "DCGAN",
        "dcgan",
        "DCGAN",
        "image synthesis",
        "Unsupervised Representation Learning with Deep Convolutional Generative Adversarial Networks",
        "Radford et al.",
        2015,
        "1511.06434",
        "Convolutional adversarial pair that trains stably, draws images and learns features without labels.",
    ),
    Entry(
        40,
        "MaxPoolingDropoutNet",
        "max_pooling_dropout_net",
        "Max-pooling dropout",
        "classification",
        "Max-Pooling Dropout for Regularization of Convolutional Neural Networks",
        "Wu & Gu",
        2015,
        "1512.01400",
        "Drops units before max-pooling in training, and pools by the resulting probabilities at test time.",
    ),
    Entry(
        46,
        "DeepMask",
        "deep_mask",
        "DeepMask",
        "detection",
        "Learning to Segment Object Candidates",
        "Pinheiro et al.",
        2015,
        "1506.06204",
        "Proposes objects: for a patch, the mask of the object at its centre and a score that there is one.",
    ),
    Entry(
        52,
        "DilatedContextNet",
        "dilated_context_net",
        "Dilated context module",
        "segmentation",
        "Multi-Scale Context Aggregation by Dilated Convolutions",
        "Yu & Koltun",
        2015,
        "1511.07122",
        "Aggregates context with exponentially dilated convolutions at full resolution, starting as the identity.",
    ),
    Entry(
        54,
        "MemN2N",
        "mem_n2n",
        "End-to-end memory network",
        "question answering",
        "End-To-End Memory Networks",
        "Sukhbaatar et al.",
        2015,
        "1503.08895",
        "Attends to a memory of sentences in several hops to answer questions or model language.",
    ),
    Entry(
        58,
        "ParagraphVectors",
        "paragraph_vectors",
        "Paragraph vectors",
        "text representation",
        "Document Embedding with Paragraph Vectors",
        "Dai et al.",
        2015,
        "1507.07998",
        "A vector for each document, learned by predicting its words, alone or together with vectors of words.",
    ),
    Entry(
        60,
        "DVNgram",
        "dv_ngram",
        "DV-ngram",
        "text representation",
        "Learning Document Embeddings by Predicting N-grams for Sentiment Classification of Long Movie Reviews",
        "Li et al.",
        2015,
        "1512.08183",
        "A vector for each document from which its words and n-grams can be predicted; made to be classified.",
    ),
    Entry(
        67,
        "ReNet",
        "re_net",
        "ReNet",
        "classification",
        "ReNet: A Recurrent Neural Network Based Alternative to Convolutional Networks",
        "Visin et al.",
        2015,
        "1505.00393",
        "Recurrent networks sweep the image vertically and horizontally in place of convolution and pooling.",
    ),
    Entry(
        69,
        "SentenceCNN",
        "sentence_cnn",
        "Sentence CNN",
        "text classification",
        "A Sensitivity Analysis of (and Practitioners' Guide to) Convolutional Neural Networks for Sentence Classification",
        "Zhang & Wallace",
        2015,
        "1510.03820",
        "One layer of convolutions over word vectors and pooling over time classify sentences; a study says which settings matter.",
    ),
    Entry(
        73,
        "TDLSTM",
        "td_lstm",
        "TD-LSTM and TC-LSTM",
        "text classification",
        "Effective LSTMs for Target-Dependent Sentiment Classification",
        "Tang et al.",
        2015,
        "1512.01100",
        "Tells what a text says about one of the things in it: LSTMs read from both ends up to that thing.",
    ),
    Entry(
        71,
        "SkipThoughts",
        "skip_thoughts",
        "Skip-thought vectors",
        "text representation",
        "Skip-Thought Vectors",
        "Kiros et al.",
        2015,
        "1506.06726",
        "Vectors of sentences from which a network can write the sentences before and behind them; new words come from a larger space.",
    ),
    Entry(
        74,
        "CharCNN",
        "char_cnn",
        "Character CNN",
        "text classification",
        "Text Understanding from Scratch",
        "Zhang & LeCun",
        2015,
        "1502.01710",
        "Six convolutions over characters classify texts of any language, without words, and read past misspellings.",
    ),
    Entry(
        75,
        "BLSTMTagger",
        "blstm_tagger",
        "BLSTM tagger",
        "tagging",
        "A Unified Tagging Solution: Bidirectional LSTM Recurrent Neural Network with Word Embedding",
        "Wang et al.",
        2015,
        "1511.00215",
        "A bidirectional LSTM tags every word, for several tasks at once, decodes only what can be, and learns word vectors by itself.",
    ),
    Entry(
        76,
        "GradNet",
        "grad_net",
        "GradNets",
        "classification",
        "GradNets: Dynamic Interpolation Between Neural Architectures",
        "Almeida & Sauder",
        2015,
        "1511.06827",
        "Blends an easy component into a powerful one while training, to learn fast early and well late.",
    ),
    Entry(
        83,
        "LSUVNet",
        "lsuv_net",
        "LSUV initialisation",
        "classification",
        "All you need is a good init",
        "Mishkin et al.",
        2015,
        "1511.06422",
        "A thin deep network whose layers are initialised to unit variance from data, and then simply trains.",
    ),
)


def find(name):
    """The entry whose class name, stem, title or row is `name` (case does not matter).

    Raises:
        ValueError: if there is none; the message offers the nearest names.
    """
    wanted = str(name).lower()
    for entry in ENTRIES:
        if wanted in (entry.name.lower(), entry.stem, entry.title.lower(), str(entry.row)):
            return entry
    import difflib

    near = difflib.get_close_matches(wanted, [e.stem for e in ENTRIES] + [e.name.lower() for e in ENTRIES])
    hint = f"; did you mean {', '.join(near)}?" if near else ""
    raise ValueError(f"`name` must be a method of the zoo (see `zoo list`). Received: {name!r}{hint}")
