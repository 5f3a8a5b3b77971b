"""The tokenizer: byte-level pieces, every word of the world one token, the wire format a few.

A small decoder spends its capacity on what it must write one token after the other, so the fixed
pieces of the reply (``", "seen": "`` and the like) are single tokens, so is every fact that can be
read off a picture (``40% across``, ``, wearing a crown``), and so is every word of the world with
and without a leading blank. All 256 bytes are there, so any question can be read. The splitting is
GPT-2's, which llama.cpp and Hugging Face both implement.
"""

from __future__ import annotations

from pathlib import Path
from random import Random

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from faithful_decide._core import prompt
from faithful_decide._core.prompt import claims_text
from faithful_decide._core.schema import VALUES
from training.model.dialogue import WEIGHTS, write
from training.world.facts import ABSENT, ACROSS, DOWN, LARGE, USUAL, too_large
from training.world.phrasing import with_article
from training.world.scenes import (
    ACCESSORIES,
    BIG,
    COLOURS,
    KINDS,
    MOODS,
    STEP,
    VEHICLES,
    make_scene,
)
from training.world.unknown import ask_unknown

PAD, USER, ASSISTANT, END, IMAGE = "<|pad|>", "<|user|>", "<|assistant|>", "<|end|>", "<image>"
SPECIAL = (PAD, USER, ASSISTANT, END, IMAGE)
FACTS = (
    *(
        f", {form.format(n)}"
        for form, end in ((DOWN, 100), (LARGE, 50))
        for n in range(0, end, STEP)
    ),
    *(f", wearing {with_article(worn)}" for worn in (*ACCESSORIES, "nothing")),
    *(
        f", riding {ridden}"
        for ridden in (*(with_article(vehicle) for vehicle in VEHICLES), "nothing")
    ),
    *(f", {too_large(big)}" for big in BIG),
    *(f", {word}" for word in (*COLOURS, *MOODS, "upright", "upside down", USUAL)),
)
PIECES = (
    '{"observations": [{"about": "',
    '", "seen": "',
    '"}, {"about": "',
    '"}], "reasoning": "',
    '", "verdict": "',
    '"}]}',
    '"}',
    '", "relies_on": [',
    '], "reservation": "',
    "Question: ",
    '\nVerdicts: "',
    '", "',
    "Describe: ",
    "cannot_tell",
    "1 at ",
    *(f"; {n} at " for n in range(2, 7)),
    "seen: ",
    ", not",
    ", as asked",
    ", which is odd",
    " seen ",
    " < ",
    " > ",
    " = ",
    " top hat",
    "top hat",
    ABSENT,
    *(ACROSS.format(n) for n in range(0, 100, STEP)),
    *FACTS,
)
VOCAB = 1536
# Added when the audit's prompts and the shorter steps came; the pieces before them keep their
# numbers.
LATER = (
    '\nNote that for the picture above, the answer is "',
    '\nSomebody who has not seen the picture thinks that the answer is "',
    '".',
    "\nSomebody who has not seen the picture would like to know the answer soon.",
    'Is the answer to this question "no"? ',
    'There is no question this time. Write observations only, about each of these in turn: "',
    '\nDecide from these observations alone: {"about": "',
    '\nImagine a picture for which the answer is "',
    '". Write its observations only.',
    '{"verdict": "',
    '", "observations": [{"about": "',
    '"}], "verdict": "',
    "asked",
    "; seen",
    ": the same",
    ": not the same",
    *(f" {n} the" for n in range(0, 100, STEP)),
    "yes: the",
    "no: the",
    "; so the",
    ": yes, so no",
    ": no, so yes",
    "an image",
)
SEEN = tuple(f'", "n": {n}, "seen": "' for n in range(1, 9))
EDGES = tuple(
    f"{start}{n}"
    for start in ('", "at": {"bottom": ', ', "left": ', ', "right": ', ', "top": ')
    for n in range(0, 101, STEP)
)
CAPITALS = (
    *KINDS, *COLOURS, *MOODS, "animal", "animals", "thing", "things", "shape", "shapes", "picture",
    "image", "photo", "there", "wearing", "more", "than", "left", "right", "above", "below",
)  # fmt: skip
WORDS = (
    "photo", "photograph", "object", "objects", "item", "items", "creature", "creatures", "figure",
    "figures", "bike", "bikes", "bunny", "mug", "hat", "shades", "glasses", "tall", "dark",
    "smiling", "cheerful", "unhappy", "crying", "mad", "cross", "relaxed", "neutral", "under",
    "beneath", "underneath", "tinier", "topmost", "bottommost", "furthest", "farthest", "just",
    "anybody", "anyone", "someone", "something", "sporting", "dressed", "amusing", "silly", "weird",
    "outnumber",
)  # fmt: skip
# Added when observations got numbers and places, claims were asked, and questions were put in
# everyday words.
LATEST = (
    *SEEN,
    *(f'}}, "n": {n}, "seen": "' for n in range(1, 9)),
    *EDGES,
    '], "verdict": "',
    '], "reservation": {"level": "none", "why": ""}, "verdict": "',
    '], "reservation": {"level": "none", "why": ""}}',
    prompt.AT,
    prompt.with_reservation(""),
    claims_text(()),
    *(f"\n{n}. the" for n in range(1, 13)),
    *(f"\n{n}. every" for n in range(1, 13)),
    '{"claims": [{"n": 1, "value": "',
    *(f'"}}, {{"n": {n}, "value": "' for n in range(2, 13)),
    '{"claims": [{"n": 1, "seen": "',
    *(f'"}}, {{"n": {n}, "seen": "' for n in range(2, 13)),
    *(f'", "value": "{value}' for value in VALUES),
    *(f" {word.upper()}" for word in CAPITALS),
    *(f" {word}" for word in WORDS),
)
ALIKE = {
    **{f" {word.upper()}": f" {word}" for word in CAPITALS},
    **dict.fromkeys((*SEEN, *(f'}}, "n": {n}, "seen": "' for n in range(1, 9))), '", "seen": "'),
    '], "verdict": "': '", "verdict": "',
    '], "reservation": {"level": "none", "why": ""}, "verdict": "': '", "verdict": "',
    " photo": " picture", " photograph": " picture", " object": " thing", " objects": " things",
    " item": " thing", " items": " things", " creature": " animal", " creatures": " animals",
    " figure": " shape", " figures": " shapes", " bike": " bicycle", " bunny": " rabbit",
    " mug": " cup", " hat": " top hat", " shades": " sunglasses", " glasses": " sunglasses",
    " smiling": " happy", " cheerful": " happy", " unhappy": " sad", " crying": " sad",
    " mad": " angry", " cross": " angry", " relaxed": " calm", " neutral": " calm",
    " under": " below", " beneath": " below", " underneath": " below", " tinier": " smaller",
    " topmost": " highest", " bottommost": " lowest",
}  # fmt: skip
"""New tokens that mean what an older one means, whose embedding they start with."""
FILE = Path(__file__).with_name("tokenizer.json")


def corpus(count: int = 30_000) -> list[str]:
    """Text to merge pieces from: pages of the world, and foreign questions."""
    rng, lines = Random(1), []
    forms = tuple(WEIGHTS)
    for i in range(count):
        page = write(rng, make_scene(i), rng.choice(forms))
        if page is not None:
            lines.append(f"{page.prompt} {page.given}{page.learnt}")
        if i % 4 == 0:
            lines.append(ask_unknown(rng).text)
    return lines


def build() -> Tokenizer:
    """Train the tokenizer and write it beside this file."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    cut = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex("|".join(_literal(piece) for piece in PIECES)), "removed"),
            tokenizer.pre_tokenizer,
        ]
    )
    whole = tokenizer.pre_tokenizer
    tokenizer.pre_tokenizer = cut
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB - len(PIECES),
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus(), trainer)
    tokenizer.pre_tokenizer = whole
    tokenizer.add_tokens([AddedToken(piece, normalized=False, special=False) for piece in PIECES])
    tokenizer.add_tokens([AddedToken(piece, normalized=False, special=False) for piece in LATER])
    tokenizer.save(str(FILE))
    return tokenizer


def extend() -> Tokenizer:
    """Add the latest pieces to the tokenizer beside this file; those before keep their numbers."""
    tokenizer = load()
    new = [piece for piece in dict.fromkeys(LATEST) if len(tokenizer.encode(piece).ids) > 1]
    tokenizer.add_tokens([AddedToken(piece, normalized=False, special=False) for piece in new])
    tokenizer.save(str(FILE))
    return tokenizer


def _literal(text: str) -> str:
    return "".join(f"\\{c}" if not c.isalnum() and c not in "\n " else c for c in text)


def load() -> Tokenizer:
    """The tokenizer that the model is trained with."""
    return Tokenizer.from_file(str(FILE))


if __name__ == "__main__":
    print(extend().get_vocab_size())  # noqa: T201 - a program that prints
