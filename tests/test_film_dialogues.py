"""Dialogues about films: the authors' format, right answers, what parts share, retrieval, rankings, and where facts come from."""

import sqlite3
from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse
from sklearn.metrics import top_k_accuracy_score

from zoo import files
from zoo.datasets import film_dialogues as fd
from zoo.datasets.film_dialogues.entities import COMMON, tokens
from zoo.datasets.film_dialogues.phrases import CONTRASTS, PRONOUNS, PRONOUNS_ELSE, QUESTIONS, SAME, WISHES
from zoo.datasets.movies import Catalogue

RNG = np.random.default_rng(0)
KNOWLEDGE = fd.invented_films(200, 80, seed=1)
RATINGS = fd.invented_ratings(KNOWLEDGE, 60, seed=1)
CHATS = [[f"turn {i} of chat {chat}" for i in range(2 + chat % 9)] for chat in range(600)]


def triples(film, **facts):
    return [fd.Triple(film, relation, name) for relation, names in facts.items() for name in names]


WESTERNS = fd.KnowledgeBase(
    (
        *triples("The Good, the Bad and the Ugly", starred_actors=["Lee Van Cleef", "Clint Eastwood"], release_year=["1966"]),
        *triples("Paris, Texas", directed_by=["Wim Wenders"], has_genre=["Drama", "Western"]),
        *triples("Her", directed_by=["Spike Jonze"], has_plot=["A man, a voice, and a city."]),
        *triples("Paris", directed_by=["Cédric Klapisch"]),
        *triples("All of Me", starred_actors=["Ed Begley, Jr."]),
        *triples("The Fog of War", release_year=["2003"]),
        *triples("In the Fog", release_year=["2012"]),
    )
)


def dialogues(name, count=100, seed=0):
    return fd.task(name, KNOWLEDGE, count, seed, RATINGS, CHATS)


# --- format ---

TALK = (
    "1 I enjoyed Paris, Texas. What else might I like?\tThe Good, the Bad and the Ugly\n"
    "2 Who plays in that?\tLee Van Cleef, Clint Eastwood, Somebody Else\n"
    "\n"
    "1 What is by the river\u2028Seine?\tParis, Paris, Texas, Her\n"
    "\n"
)


def test_files_of_dialogues(tmp_path):
    path, copy = tmp_path / "talk.txt", tmp_path / "copy.txt"
    path.write_bytes(TALK.encode())
    found = fd.read(path, WESTERNS.entities)
    assert [len(dialogue) for dialogue in found] == [2, 1]
    assert found[0][0] == fd.Exchange("I enjoyed Paris, Texas. What else might I like?", ("The Good, the Bad and the Ugly",))
    assert found[0][1].replies == ("Lee Van Cleef", "Clint Eastwood", "Somebody Else") and found[1][0].replies == (
        "Paris",
        "Paris, Texas",
        "Her",
    )
    assert fd.read(path)[0][1].replies == ("Lee Van Cleef, Clint Eastwood, Somebody Else",)
    for entities in (None, WESTERNS.entities):
        fd.write(fd.read(path, entities), copy, spaced=True)
        assert copy.read_bytes() == path.read_bytes()
    fd.write(found, copy)
    assert copy.read_bytes() == path.read_bytes().replace(b"\n\n", b"\n")
    # as a Windows editor saves it
    path.write_bytes(TALK.encode().replace(b"\n", b"\r\n"))
    assert fd.read(path, WESTERNS.entities) == found


@pytest.mark.parametrize("name", fd.TASKS)
def test_simulated_dialogues_keep_in_files(name, tmp_path):
    train = dialogues(name).train
    fd.write(train, tmp_path / "train.txt", spaced=True)
    entities = KNOWLEDGE.entities if name != "discussion" else None
    assert fd.read(tmp_path / "train.txt", entities) == train


FACTS = (
    "1 Paris, Texas directed_by Wim Wenders\n2 Paris, Texas starred_actors Nastassja Kinski, Sam Berry, Jr.\n"
    "3 Paris, Texas has_plot A man, lost.\n\n1 Her release_year 2013\n\n"
)


def test_files_of_facts(tmp_path):
    path, copy = tmp_path / "movie_kb.txt", tmp_path / "copy.txt"
    path.write_text(FACTS)
    found = fd.read_knowledge(path, ["Sam Berry, Jr."])
    assert found.objects("Paris, Texas", "starred_actors") == ("Nastassja Kinski", "Sam Berry, Jr.")
    assert found.objects("Paris, Texas", "has_plot") == ("A man, lost.",) and "A man, lost." not in found.entities
    assert found.sentences[-1] == "Her release_year 2013" and found.films == ("Paris, Texas", "Her")
    assert len(fd.read_knowledge(path).triples) == len(found.triples) + 1
    fd.write_knowledge(found, copy)
    assert copy.read_text() == FACTS
    for knowledge in (KNOWLEDGE, WESTERNS):
        fd.write_knowledge(knowledge, copy)
        assert fd.read_knowledge(copy, knowledge.entities) == knowledge


def test_files_of_names_and_candidates(tmp_path):
    path = tmp_path / "names.txt"
    fd.write_entities(WESTERNS.entities, path)
    assert fd.read_entities(path) == WESTERNS.entities and path.read_text().count("\n") == len(WESTERNS.entities)
    fd.write_candidates(["Hi , there .", "yes"], path)
    assert path.read_text() == "1 Hi , there .\n\n1 yes\n\n" and fd.read_candidates(path) == ("Hi , there .", "yes")


@pytest.mark.parametrize(
    ("read", "text", "line"),
    [
        (fd.read, "1 a\tb\nno number\tc\n", 2),
        (fd.read, "1 a\tb\n3 c\td\n", 2),
        (fd.read, "2 a\tb\n", 1),
        (fd.read, "1 a\tb\n\n1 no reply\n", 3),
        (fd.read, "1 a\t\n", 1),
        (fd.read, "1 a\tb\tc\n", 1),
        (fd.read_knowledge, "1 Her seen_by Theodore\n", 1),
        (fd.read_knowledge, "1 Her release_year 2013\n2 Up release_year 2009\n", 2),
        (fd.read_candidates, "1 a\nb\n", 2),
    ],
)
def test_broken_files(read, text, line, tmp_path):
    (tmp_path / "a.txt").write_text(text)
    with pytest.raises(ValueError, match=rf"a.txt`, line {line}, must .*Received: "):
        read(tmp_path / "a.txt")


@pytest.mark.parametrize(("message", "replies"), [("", ("a",)), ("a\tb", ("a",)), ("a", ("a\nb",)), ("a", ()), ("a", ("",))])
def test_what_files_cannot_hold(message, replies, tmp_path):
    with pytest.raises(ValueError, match="`dialogues` must .*Received: "):
        fd.write([[fd.Exchange(message, replies)]], tmp_path / "a.txt")


# --- facts ---


def test_look_ups_agree_with_a_pass_over_the_facts():
    assert len(KNOWLEDGE.films) == 200 and KNOWLEDGE == fd.invented_films(200, 80, seed=1) != fd.invented_films(200, 80, seed=2)
    for entity, relation, inverse in KNOWLEDGE.pairs:
        found = KNOWLEDGE.films_with(relation, entity) if inverse else KNOWLEDGE.objects(entity, relation)
        assert found == fd.answer(KNOWLEDGE, fd.Question(entity, relation, inverse))
    assert sum(not inverse for *_, inverse in KNOWLEDGE.pairs) == 7 * 200
    assert KNOWLEDGE.films_with("directed_by", "nobody") == KNOWLEDGE.objects("no film", "directed_by") == ()


def test_answers_of_two_conditions():
    drama = fd.Question("Drama", "has_genre", True)
    assert fd.answer(WESTERNS, fd.Question("Wim Wenders", "directed_by", True, also=drama)) == ("Paris, Texas",)
    assert fd.answer(WESTERNS, replace(drama, without=("Paris, Texas",))) == ()


TABLE = [
    # title, year, director, writer, cast, language, genre, rating, oscars, awards, country, reviews, production
    ("Heat", 1995, "Michael Mann", "", "Val Kilmer, Al Pacino", "English", "Crime, Drama", "R", 0, None, "USA", 90, "X, The Film"),
    ("HEAT", 1986, "Dick Richards", "", "Burt Reynolds", "English", "", None, 0, None, "USA", 9, None),
    ("Heat", 1995, "Some One", "", "", "", "", None, 0, None, "", 3, None),
    ("Serpico", 1973, "Sidney Lumet", "", "Ed Begley, Jr., Al Pacino", "English, Italian", "Drama", "R", 0, "Nominated", "Italy", 40, None),
    ("Up", 2009, "", "", "", "", "", "PG", 2, "Won", "", None, "Pixar"),
]


def test_table_of_films(tmp_path, monkeypatch):
    path = tmp_path / "movies 1#.db"
    with sqlite3.connect(path) as table:
        table.execute(
            'CREATE TABLE omdb (ID, imdbID, Title, Year, Director, Writer, "Cast", Language, Genre, Rating, Oscars, Awards, Country)'
        )
        table.execute("CREATE TABLE tomatoes (ID, Reviews, Production)")
        table.executemany(f"INSERT INTO omdb VALUES ({', '.join('?' * 13)})", [(i, f"tt{i}", *row[:11]) for i, row in enumerate(TABLE)])
        table.executemany("INSERT INTO tomatoes VALUES (?, ?, ?)", [(i, *row[11:]) for i, row in enumerate(TABLE)])
    table.close()
    monkeypatch.setattr(files, "packaged", lambda *_: path)
    found = fd.films()
    assert found.films == ("Heat (1995)", "Serpico", "HEAT (1986)", "Up")
    assert found.objects("Serpico", "starred_actors") == ("Al Pacino", "Ed Begley, Jr.")
    assert found.objects("Heat (1995)", "has_tags") == ("usa", "x", "rated r") and found.objects("Up", "has_tags")[-1] == "oscar winner"
    assert found.objects("Serpico", "has_tags")[-1] == "oscar nominee" and found.objects("Heat (1995)", "release_year") == ("1995",)
    assert fd.films(2, actors=1).films_with("starred_actors", "Al Pacino") == ("Heat (1995)", "Serpico")
    assert fd.films(2, actors=1).films == found.films[:2] and not fd.films(2, actors=1).films_with("starred_actors", "Val Kilmer")


def test_real_table():
    try:
        found = fd.films()
    except ImportError as error:
        assert "pip install bokeh-sampledata" in str(error)
        pytest.skip("bokeh-sampledata is not installed")
    assert len(found.films) == 17467 and found.objects("The Matrix", "release_year") == ("1999",)
    assert set(found.films_with("directed_by", "Sergio Leone")) >= {"The Good, the Bad and the Ugly", "Once Upon a Time in the West"}
    assert len({film.casefold() for film in found.films}) == len(found.films)
    try:
        ratings = fd.movielens(found)
    except ImportError:
        pytest.skip("recbole is not installed")
    assert 0.81 < ratings.matched < 0.82 and ratings.matrix.shape == (943, 1366) and "The Usual Suspects" in ratings.titles


def test_ratings_of_matching_titles():
    knowledge = fd.KnowledgeBase(
        tuple(
            triple
            for film, year in [
                ("The Usual Suspects", 1995),
                ("Sabrina (1954)", 1954),
                ("Sabrina (1995)", 1995),
                ("Élisa", 1990),
                ("Heat", 1972),
            ]
            for triple in triples(film, release_year=[str(year)])
        )
    )
    names = ["Usual Suspects, The", "Sabrina", "Elisa (Other Title)", "Unknown Film", "Heat"]
    decades = sparse.csr_matrix([[1, 0], [1, 0], [0, 1], [1, 0], [1, 0]])
    matrix = sparse.csr_matrix(np.arange(15).reshape(3, 5) % 6)
    catalogue = Catalogue(matrix, None, decades, item_feature_names=["decade 1990s", "decade 1980s"], item_names=names)
    found = fd.movielens(knowledge, catalogue)
    # Élisa came out a year after the decade, Heat too long before
    assert found.titles == ("The Usual Suspects", "Sabrina (1995)", "Élisa") and found.matched == 0.6
    np.testing.assert_array_equal(found.matrix.toarray(), matrix.toarray()[:, :3])
    assert found.favourites(4) == [["The Usual Suspects", "Sabrina (1995)"]]
    assert knowledge.of(found.titles[1:]).films == ("Sabrina (1995)", "Élisa")
    with pytest.raises(ValueError, match="`catalogue`"):
        fd.movielens(WESTERNS, catalogue)


# --- tasks ---


def test_phrases_have_a_place_for_the_entity():
    for phrases in (*QUESTIONS.values(), *WISHES.values(), *CONTRASTS.values()):
        assert len(set(phrases)) == len(phrases) and all(phrase.find("{}") > 0 and phrase.count("{}") == 1 for phrase in phrases)
    assert all("{" not in phrase for table in (PRONOUNS, PRONOUNS_ELSE, SAME) for phrases in table.values() for phrase in phrases)
    assert all(len(phrases) >= 4 for phrases in QUESTIONS.values()) and len(QUESTIONS) == 14


@pytest.mark.parametrize("name", fd.TASKS)
def test_seeds_and_sizes(name):
    first, again, other = (dialogues(name, seed=seed) for seed in (3, np.int64(3), 4))
    assert first == again != other
    assert [len(part) for part in first] == ([84, 8, 8] if name == "joint" else [80, 10, 10])
    assert all(exchange.replies for part in first for dialogue in part for exchange in dialogue)


def test_answers_to_questions_are_right_and_complete():
    parts = fd.qa(KNOWLEDGE, 400, seed=2, max_answers=30)
    asked = [{(d[0].question.entity, d[0].question.relation) for d in part} for part in parts]
    assert not (asked[0] & asked[1] or asked[0] & asked[2] or asked[1] & asked[2])
    for (exchange,) in sum(parts, []):
        assert exchange.replies == fd.answer(KNOWLEDGE, exchange.question) and 0 < len(exchange.replies) <= 30
        assert exchange.question.entity in exchange.message and set(exchange.replies) <= set(KNOWLEDGE.entities)
    # what there is to ask is asked evenly
    assert len(asked[0]) == 320 and {d[0].question.relation for d in parts.train} == {r for r, _ in QUESTIONS}
    everything = {(d[0].question.entity, d[0].question.relation) for part in fd.qa(WESTERNS, 1000) for d in part}
    assert everything == {pair[:2] for pair in WESTERNS.pairs if pair[1] != "has_plot"}


def test_users_are_in_one_part():
    """Users who like films of their own."""
    films = KNOWLEDGE.films
    matrix = sparse.csr_matrix(np.kron(np.eye(20), np.full(10, 5.0)))
    blocks = fd.Ratings(matrix, films)
    for simulate in (fd.recommendation, fd.qa_recommendation):
        parts = simulate(KNOWLEDGE, blocks, 100)
        users = [{films.index(dialogue[0].replies[0]) // 10 for dialogue in part} for part in parts]
        assert not (users[0] & users[1] or users[0] & users[2] or users[1] & users[2])
        for exchange, *_ in sum(parts, []):
            listed = [film for film in films if film in exchange.message]
            assert len(listed) == 7 and exchange.replies[0] not in listed and len(exchange.replies) == 1
            assert {films.index(film) // 10 for film in listed} == {films.index(exchange.replies[0]) // 10}


def test_later_messages_need_the_exchanges_before():
    matcher, unnamed = fd.EntityMatcher(KNOWLEDGE.entities), 0
    parts = fd.qa_recommendation(KNOWLEDGE, RATINGS, 300, seed=5)
    for first, second, third in sum(parts, []):
        film = first.replies[0]
        assert film in fd.answer(KNOWLEDGE, first.question) and first.question.entity in first.message
        assert second.question.entity == film and second.replies == fd.answer(KNOWLEDGE, second.question)
        assert first.question.entity not in second.replies or first.question.relation != second.question.relation
        assert third.replies == fd.answer(KNOWLEDGE, third.question)
        assert film not in third.replies and not any(other in first.message for other in third.replies)
        assert not any(is_entity for _, is_entity in matcher.split(second.message))
        named = [unit for unit, is_entity in matcher.split(third.message) if is_entity]
        unnamed += not named
        if named:
            alone = fd.answer(KNOWLEDGE, replace(third.question, also=None))
            assert named == [third.question.entity] and set(third.replies) < set(alone)
            assert set(third.replies) <= set(fd.answer(KNOWLEDGE, first.question))
        else:
            assert third.question.entity in KNOWLEDGE.objects(film, third.question.relation)
    assert 0.3 < unnamed / 300 < 0.7


def test_discussions_have_candidates_of_others():
    parts = fd.discussion(CHATS, 50, seed=1, candidates=5, longest=2)
    chats = [{e.message.split()[-1] for dialogue in part for e in dialogue} for part in parts]
    assert not (chats[0] & chats[1] or chats[0] & chats[2] or chats[1] & chats[2])
    places = []
    for dialogue in sum(parts, []):
        assert 1 <= len(dialogue) <= 2
        for exchange in dialogue:
            (reply,), chat = exchange.replies, exchange.message.split()[-1]
            assert len(set(exchange.candidates)) == 5 and fd.candidates_of(exchange, KNOWLEDGE) == exchange.candidates
            assert [text for text in exchange.candidates if text.split()[-1] == chat] == [reply]
            assert int(reply.split()[1]) == int(exchange.message.split()[1]) + 1
            places.append(exchange.candidates.index(reply))
    assert set(places) == set(range(5))


def test_joint_task_mixes_all():
    for part, size in zip(dialogues("joint", 400), (320, 40, 40)):
        kinds = ["chat" if d[0].candidates else "recommendation" if d[0].question is None else len(d) for d in part]
        assert all(kinds.count(kind) == size // 4 for kind in ("chat", "recommendation", 1, 3)) and kinds != sorted(kinds, key=str)
        assert all(fd.candidates_of(d[0], KNOWLEDGE) is KNOWLEDGE.entities for d in part if not d[0].candidates)


def test_tastes_of_invented_users():
    """A user rates films of the genres that he likes higher: less of the variance of his ratings is left within genres than by chance."""
    ratings = RATINGS.matrix.toarray()
    assert set(np.unique(ratings)) == set(range(6)) and (ratings > 0).sum(1).tolist() == [40] * 60
    assert [len(user) for user in RATINGS.favourites()] == [8] * 60
    genre = np.array([KNOWLEDGE.objects(film, "has_genre")[0] for film in RATINGS.titles])

    def within(genre):
        spreads = [row[(row > 0) & (genre == g)].var() for row in ratings for g in set(genre) if ((row > 0) & (genre == g)).sum() > 2]
        return np.mean(spreads)

    assert within(genre) < min(within(RNG.permutation(genre)) for _ in range(20))


# --- measures and retrieval ---


@pytest.mark.parametrize("k", [1, 3, 10])
def test_hits_are_those_of_sklearn(k):
    scores, right = RNG.normal(size=(50, 20)), RNG.integers(0, 20, 50)
    ranked = np.argsort(-scores, axis=1)
    expected = top_k_accuracy_score(right, scores, k=k, labels=range(20))
    assert fd.hits_at(k, ranked, right[:, None]) == pytest.approx(expected)
    assert fd.hits_at(k, ranked[:, :k].tolist(), [(one,) for one in right.tolist()]) == pytest.approx(expected)


def test_any_right_reply_is_a_hit():
    assert fd.hits_at(2, [["a", "b", "c"], ["a", "b", "c"]], [("c", "b"), ("c", "d")]) == 0.5
    with pytest.raises(ValueError, match="`ranked`"):
        fd.hits_at(1, [["a"]], [])
    with pytest.raises(ValueError, match="`k`"):
        fd.hits_at(0, [["a"]], [("a",)])


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Who acts in the good, the bad and the ugly?", ["The Good, the Bad and the Ugly"]),
        ("It was her. Her again?", []),
        ("Who directed Her?", ["Her"]),
        ("Have you been to Paris, texas, or to Paris?", ["Paris, Texas", "Paris"]),
        ("the fog in The Fog of War", ["The Fog of War"]),
        ("what was in the fog", ["In the Fog"]),
        ("after all of me came All of Me", ["All of Me"]),
        ("a western, or a Western with Ed Begley, Jr.", ["Western", "Ed Begley, Jr."]),
        ("Paris, Texa", ["Paris"]),
        ("", []),
    ],
)
def test_entities_in_texts(text, names):
    units = fd.EntityMatcher(WESTERNS.entities).split(text)
    assert [unit for unit, is_entity in units if is_entity] == names
    rebuilt = [token.casefold() for unit, _ in units for token in tokens(unit)]
    assert rebuilt == [token.casefold() for token in tokens(text)]


def brute_force(knowledge, text, max_frequency, limit):
    """Facts by a pass over all of them."""

    def words(name):
        return {token.casefold() for token in tokens(name) if token[0].isalnum()} - COMMON

    units = fd.EntityMatcher(knowledge.entities).split(text)
    held = [({t.film, t.object}, words(t.film) | words(t.object)) for t in knowledge.triples]
    worth = np.zeros(len(held))
    for unit, is_entity in sorted(set(units)):
        found = np.array([unit in (names if is_entity else words) for names, words in held])
        if found.any() and (is_entity or found.sum() <= max_frequency):
            worth += np.log(len(held) / found.sum()) * found
    order = np.argsort(-worth.round(9), kind="stable")
    return [i for i in order if worth[i] > 0][:limit]


def test_retrieval_is_that_of_brute_force():
    retriever = fd.Retriever(KNOWLEDGE, max_frequency=60)
    texts = [e.message for name in ("qa", "qa_recommendation") for d in dialogues(name, 40).train for e in d]
    texts += ["a river, a mirror and Ada", "the silent river in 1999 and Drama", "nothing at all", "Velvet", "drama"]
    for text in texts:
        expected = brute_force(KNOWLEDGE, text, 60, 25)
        found = retriever.positions(text, 25)
        worth = [sorted(KNOWLEDGE.sentences[i] for i in places) for places in (found, expected)]
        assert found.dtype == np.int64 and found.tolist() == expected, (text, worth)
    assert retriever.sentences(texts[0], 3) == [KNOWLEDGE.sentences[i] for i in retriever.positions(texts[0], 3)]
    assert retriever.positions("nothing at all").tolist() == []


def test_what_facts_are_looked_up_by():
    retriever = fd.Retriever(WESTERNS)
    assert retriever.keys("Is it true that Spike jonze directed Her in texas?") == ["Spike Jonze", "Her", "texas"]
    assert retriever.sentences("Spike Jonze?") == ["Her directed_by Spike Jonze"]
    # a word within an entity is none of its own, and a frequent one is not looked up
    assert "The Fog of War release_year 2003" not in retriever.sentences("In the Fog")
    assert fd.Retriever(WESTERNS, max_frequency=2).keys("fog paris") == ["fog"]
    assert fd.Retriever(fd.KnowledgeBase(())).positions("Her").tolist() == []


# --- arguments ---


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: dialogues("reddit"), "name"),
        (lambda: dialogues(None), "name"),
        (lambda: dialogues("qa", 9), "count"),
        (lambda: dialogues("qa", 2.5), "count"),
        (lambda: dialogues("joint", 39), "count"),
        (lambda: dialogues("qa", True), "count"),
        (lambda: dialogues("discussion", 10**6), "count"),
        (lambda: dialogues("qa", seed=-1), "seed"),
        (lambda: dialogues("recommendation", seed="a"), "seed"),
        (lambda: fd.qa(KNOWLEDGE, max_answers=0), "max_answers"),
        (lambda: fd.qa(fd.KnowledgeBase(())), "knowledge"),
        (lambda: fd.recommendation(WESTERNS, RATINGS), "ratings"),
        (lambda: fd.recommendation(KNOWLEDGE, RATINGS, least=6), "ratings"),
        (lambda: fd.qa_recommendation(KNOWLEDGE, RATINGS, max_answers=0), "max_answers"),
        (lambda: fd.discussion(CHATS, 50, candidates=10**4), "candidates"),
        (lambda: fd.discussion(CHATS, longest=0), "longest"),
        (lambda: fd.discussion([["a", "b"]]), "conversations"),
        (lambda: fd.films(0), "count"),
        (lambda: fd.films(actors=1.5), "actors"),
        (lambda: fd.invented_films(9), "count"),
        (lambda: fd.invented_films(601), "count"),
        (lambda: fd.invented_films(people=500), "people"),
        (lambda: fd.invented_ratings(KNOWLEDGE, 2), "users"),
        (lambda: fd.Retriever(KNOWLEDGE, 0), "max_frequency"),
        (lambda: fd.Retriever(KNOWLEDGE).positions("a", 0), "limit"),
    ],
)
def test_bad_arguments(call, name):
    with pytest.raises(ValueError, match=f"`{name}` must .*Received: "):
        call()


def test_too_few_facts_for_three_exchanges():
    few = fd.KnowledgeBase(tuple(triple for film in "abc" for triple in triples(film, has_genre=["Drama"])))
    with pytest.raises(ValueError, match="`knowledge` must .*three exchanges"):
        fd.qa_recommendation(few, fd.Ratings(sparse.csr_matrix(np.full((3, 3), 5.0)), few.films), 10)
