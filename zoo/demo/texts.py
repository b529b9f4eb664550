"""Pages for methods that read or write text. Each function takes a model and what is said about it, and gives a Gradio page."""

import gradio as gr


def told(verb):
    """A verb whose errors the page shows."""

    def told_verb(*args):
        try:
            return verb(*args)
        except ValueError as error:
            raise gr.Error(str(error)) from error

    return told_verb


def chat(model, **about):
    """Talk; what was said before is known."""

    def reply(message, history):
        turns = ["".join(part["text"] for part in turn["content"] if part["type"] == "text") for turn in history]
        return model.respond([[*turns, message]])[0]

    return gr.ChatInterface(told(reply), examples=["hello, how are you?", "do you like music?", "where do you live?"], **about)


def questions(model, **about):
    """A story and a question; the answer, and the sentences that it comes from."""

    def answer(story, question):
        sentences = [line for line in story.splitlines() if line.strip()]
        if hasattr(model, "attention"):
            found, weights = dict(model.answer(sentences, question)), model.attention(sentences, question)
            used = [(sentence, float(weight)) for sentence, weight in zip(sentences, weights.max(axis=0))]
        else:
            found, places = {model.answer(sentences, question): 1.0}, model.supports(sentences, question)
            used = [(sentence, float(place in places)) for place, sentence in enumerate(sentences)]
        return found, [(f"{sentence}\n", weight) for sentence, weight in used]

    story = "mary went to the kitchen.\njohn went to the office.\nmary took the milk.\nmary went to the garden."
    return gr.Interface(
        told(answer),
        [gr.Textbox(story, label="story, a sentence a line", lines=8), gr.Textbox("where is the milk?", label="question")],
        [gr.Label(label="answer"), gr.HighlightedText(label="what it comes from", show_legend=False)],
        examples=[[story, "where is the milk?"]],
        **about,
    )


def translation(model, **about):
    """A sentence in, its translations out, best first."""

    def translate(sentence, beams):
        return [[found, f"{score:.2f}"] for found, score in model.translate([sentence], beams=int(beams), n_best=int(beams))[0]]

    german, english = "zwei hunde spielen im gras .", "two dogs are playing in the grass ."
    from_german = "ein" in model.source_vocabulary[:50]
    return gr.Interface(
        told(translate),
        [gr.Textbox(label="German" if from_german else "English"), gr.Slider(1, 10, 5, step=1, label="beams")],
        gr.Dataframe(headers=["English" if from_german else "German", "log-probability"], label="translations"),
        examples=[[german if from_german else english, 5]],
        **about,
    )


def tasks(model, **about):
    """One network, the task chosen."""

    def write(sentence, task):
        return model.write(task, [sentence])[0]

    names = list(model.tasks)
    return gr.Interface(
        told(write),
        [gr.Textbox(label="sentence"), gr.Radio(names, value=names[0], label="task")],
        gr.Textbox(label="written"),
        examples=[["a man is riding a bike on the street .", name] for name in names],
        **about,
    )


def summary(model, **about):
    """A text in, a headline out."""

    def summarize(text, length):
        return model.summarize([text], length=int(length))[0]

    text = "return a new array with the same shape and type as a given array , filled with zeros in place of its values ."
    return gr.Interface(
        told(summarize),
        [gr.Textbox(label="text", lines=4), gr.Slider(3, 12, 8, step=1, label="words")],
        gr.Textbox(label="summary"),
        examples=[[text, 8]],
        **about,
    )


def continuation(model, **about):
    """A beginning in, a text out."""

    def complete(text, words, temperature, seed):
        return model.complete([text], words=int(words), temperature=temperature, seed=int(seed))[0]

    return gr.Interface(
        told(complete),
        [
            gr.Textbox("a man", label="beginning"),
            gr.Slider(1, 50, 10, step=1, label="words to add, or characters of a network of characters"),
            gr.Slider(0.1, 1.5, 0.7, label="temperature"),
            gr.Number(0, label="seed", precision=0),
        ],
        gr.Textbox(label="text"),
        examples=[["a man", 10, 0.7, 0], ["the movie was", 10, 0.5, 1]],
        **about,
    )


def text_class(model, **about):
    """A text in, the probabilities of its classes out."""
    names = list(map(str, model.class_names or range(model.num_classes)))

    def classify(text):
        return dict(zip(names, map(float, model.predict(model.encode([text]), verbose=0)[0])))

    texts = [
        "what a beautiful , touching film , with actors one would like to know .",
        "the jury said that no evidence of irregularities took place .",
        "das Wetter ist heute schön",
    ]
    return gr.Interface(
        told(classify), gr.Textbox(label="text", lines=3), gr.Label(num_top_classes=5, label="class"), examples=texts, **about
    )


def tags(model, **about):
    """A sentence in, its words with their tags out, for each task."""

    def tag(sentence):
        words, found = sentence.split(), model.tag([sentence])
        found = found if isinstance(found, dict) else {"tag": found}
        return [[(f"{word} ", label) for word, label in zip(words, found[task][0])] for task in names]

    names = list(model.tags) if isinstance(model.tags, dict) else ["tag"]
    return gr.Interface(
        told(tag),
        gr.Textbox(label="sentence, with spaces between words"),
        [gr.HighlightedText(label=name) for name in names],
        examples=["The quick brown fox jumps over the lazy dog .", "She sold the old house in Boston last year ."],
        **about,
    )


def spans(model, **about):
    """A text in, its marked parts out."""

    def find(text):
        shown, end = [], 0
        for start, length, label in model.find([text])[0]:
            shown += [(text[end:start], None), (text[start : start + length], label)]
            end = start + length
        return [*shown, (text[end:], None)]

    examples = ["The old man walked slowly to the river.", "Yaşlı adam yavaşça nehre yürüdü."]
    return gr.Interface(told(find), gr.Textbox(label="text"), gr.HighlightedText(label="spans"), examples=examples, **about)
