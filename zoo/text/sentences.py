"""Sentences of documents with those before them."""

from zoo import arguments


def with_contexts(documents, sentences=4):
    """Every sentence of documents, behind the sentences before it.

    Args:
        documents: list of lists of sentences, strings.
        sentences: so many before it at most; those of its own document.

    Returns:
        List of lists of strings, the sentence itself last: what `LargerContextLM` takes.

    Raises:
        ValueError: if an argument is none of these.
    """
    arguments.count("sentences", sentences, low=0)
    found = arguments.text_lists("documents", documents, empty=True)
    return [document[max(0, i - sentences) : i + 1] for document in found for i in range(len(document))]
