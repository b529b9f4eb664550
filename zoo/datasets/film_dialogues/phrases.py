"""What people say: questions, wishes and openings. No entity begins a sentence, where "Up" might be no title."""

# (relation, whether films are asked for) -> questions; the braces hold the entity
QUESTIONS = {
    ("directed_by", False): (
        "Who directed {}?",
        "Who was the director of {}?",
        "Which director made {}?",
        "By whom was {} directed?",
        "Can you name the director behind {}?",
        "Whose film is {}?",
    ),
    ("written_by", False): (
        "Who wrote {}?",
        "Who is the writer of {}?",
        "Whose script was {} made from?",
        "Who is credited with the screenplay of {}?",
        "Can you tell me who wrote the film {}?",
    ),
    ("starred_actors", False): (
        "Who acts in {}?",
        "Who stars in {}?",
        "Which actors can be seen in {}?",
        "Who is in the cast of {}?",
        "Who plays in the film {}?",
        "Name the actors of {}.",
    ),
    ("release_year", False): (
        "When did {} come out?",
        "In which year was {} released?",
        "What year is {} from?",
        "How old is {}, I mean, which year was it made?",
        "When was {} first shown?",
    ),
    ("in_language", False): (
        "Which language is spoken in {}?",
        "What language is {} in?",
        "In which language was {} made?",
        "What do people speak in {}?",
    ),
    ("has_genre", False): (
        "What kind of film is {}?",
        "Which genre does {} belong to?",
        "What sort of movie is {}?",
        "How would you classify {}?",
        "Of what genre is {}?",
    ),
    ("has_tags", False): (
        "How is {} tagged?",
        "Which tags does {} have?",
        "What words describe {}?",
        "Which keywords go with {}?",
    ),
    ("directed_by", True): (
        "What did {} direct?",
        "Which films did {} direct?",
        "Which movies are by the director {}?",
        "What has {} made as a director?",
        "Name the films that {} directed.",
    ),
    ("written_by", True): (
        "What did {} write?",
        "Which films were written by {}?",
        "Which movies have a script by {}?",
        "For which films did {} write the screenplay?",
    ),
    ("starred_actors", True): (
        "Which films does {} act in?",
        "What can I see {} in?",
        "Which movies star {}?",
        "In which films has {} played?",
        "Which movies have {} in the cast?",
        "Name the films with {}.",
    ),
    ("release_year", True): (
        "Which films came out in {}?",
        "What was released in {}?",
        "Which movies are from the year {}?",
        "What could one see in the cinemas in {}?",
    ),
    ("in_language", True): (
        "Which films are in {}?",
        "In which movies do people speak {}?",
        "What can I watch in {}?",
        "Which films were made in {}?",
    ),
    ("has_genre", True): (
        "Which films are of the genre {}?",
        "What belongs to the genre {}?",
        "Which movies are listed under {}?",
        "Name the films that count as {}.",
    ),
    ("has_tags", True): (
        "Which films are tagged {}?",
        "Which movies have the tag {}?",
        "What do people tag as {}?",
        "Name the films with the keyword {}.",
    ),
}

# questions about the film of the last reply, which do not name it; those with "else" follow a wish for the same relation
PRONOUNS = {
    "directed_by": ("Who directed it?", "Who is the director?", "By whom is that?"),
    "written_by": ("Who wrote it?", "And the script is by whom?", "Who is the writer of that one?"),
    "starred_actors": ("Who is in it?", "Who stars in that?", "And who are the actors?"),
    "release_year": ("When did it come out?", "What year is that from?", "How old is that one?"),
    "in_language": ("What language is it in?", "What do they speak in that?", "And in which language?"),
    "has_genre": ("What kind of film is that?", "What genre is it?", "What sort of movie would that be?"),
    "has_tags": ("How would you tag it?", "Which keywords does that have?", "How do people describe it?"),
}
PRONOUNS_ELSE = {
    "directed_by": ("Who else directed it?", "And who was the other director?"),
    "written_by": ("Who else wrote it?", "Did anyone help with the script?"),
    "starred_actors": ("Who else is in it?", "And who are the other actors?", "Who plays beside them?"),
    "in_language": ("What other language do they speak in it?", "And which language besides that?"),
    "has_genre": ("What else is it, by genre?", "Which other genre does that belong to?"),
    "has_tags": ("What else describes it?", "Which other tags does that have?"),
}

# wishes that name what the film should have
WISHES = {
    "directed_by": ("I'd like to see something directed by {}.", "What should I see by the director {}?", "Is there a film that {} made?"),
    "written_by": ("I'd like something written by {}.", "Which script by {} became a good film?"),
    "starred_actors": ("I'd like to see something with {}.", "What should I watch that has {} in it?", "Any good part that {} played?"),
    "in_language": ("I'd like to hear some {}.", "It should be in {}.", "Which film in {} would you pick?"),
    "has_genre": ("I'm in the mood for the genre {}.", "Which film of the genre {} should I see?", "It should be of the kind {}."),
    "has_tags": ("I want something tagged {}.", "It should have the keyword {}.", "Which film tagged {} would you pick?"),
}

# third messages: of the kind wished for first, but with someone else
CONTRASTS = {
    "directed_by": ("I'd prefer one like that by {}.", "Is there such a film directed by {}?", "Rather one of those that {} made, please."),
    "starred_actors": ("I'd prefer one like that with {}.", "Is there such a film that {} is in?", "Rather one of those with {}, please."),
    "written_by": ("I'd prefer one like that written by {}.", "Is there such a film with a script by {}?"),
}
# third messages that name nothing
SAME = {
    "directed_by": (
        "Do you know anything else by that director?",
        "What else did the same director make?",
        "More from whoever directed it?",
    ),
    "written_by": ("Do you know anything else by that writer?", "What else did the same author write?"),
    "release_year": ("Is there another one of that kind from the same year?", "And what else like that came out in the same year?"),
}

# what one likes; the braces hold one film or several
FAVOURITES = (
    "I loved {}.",
    "I gave top marks to {}.",
    "My taste runs to films like {}.",
    "I have seen {} again and enjoyed every minute.",
    "I never get tired of {}.",
    "Nothing beats {} for me.",
    "I can warmly recommend {}.",
    "I was thrilled by {}.",
)
REQUESTS = (
    "What should I watch next?",
    "What would you recommend?",
    "Do you know something for me?",
    "What else might I like?",
    "Which film would you suggest?",
    "Any ideas for tonight?",
)
