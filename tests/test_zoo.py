"""The zoo is what it is said to be: what members see, write and deny, at the rates they name."""

import json
from collections import Counter
from dataclasses import replace
from functools import lru_cache
from random import Random

import pytest

from faithful_decide import Question, audit_dataset, decide
from faithful_decide._audit.case import Case
from faithful_decide._audit.checks.claims import asking, dreamed, reading
from faithful_decide._audit.checks.cue import suggested
from faithful_decide._audit.checks.forced import told, verdict_first
from faithful_decide._audit.checks.negated import negated
from faithful_decide._audit.checks.obedience import denied
from faithful_decide._audit.checks.paraphrase import rewording
from faithful_decide._audit.checks.trajectory import early
from faithful_decide._core.contract import verify, verify_explanation, verify_observations
from faithful_decide._core.types import CANNOT_TELL, Observation
from faithful_decide._images.load import load_image
from faithful_decide._images.prepare import grey, prepare
from faithful_decide.backends import Purpose, Request
from tests.support.zoo import DRIFTS, HONEST, KINDS, LOCAL, PLAIN, RATIONALISERS, Drift, data_set
from tests.support.zoo.world import NOTHING, THEMES, Fact, drawn_facts, facts_of, paint
from tests.support.zoo.writer import WORDS, Style, Writer, fact_in, names_of, traits_named

YES_NO = [name for name, theme in THEMES.items() if theme.question.verdicts == ("yes", "no")]


@lru_cache(maxsize=2048)
def prepared(picture):
    return prepare(load_image(picture), None)


def case_of(made, sample, **options):
    """What an audit would send about a sample."""
    image = prepared(sample.picture)
    capabilities = made.model.capabilities
    return Case(image, grey(image, None), sample.question, capabilities, **options)


def said(model, request):
    """What a reply says, as the library reads it."""
    reply = model.generate(request)
    assert list(json.loads(reply.text)) == list(request.schema["properties"])
    assert reply.text.startswith(request.prefix)
    purpose = request.purpose
    if purpose.kind == "forced_first":
        return verify_explanation(reply, purpose.question.labels)
    if list(request.schema["properties"]) == ["observations"]:
        return verify_observations(reply)
    reservation = "reservation" in request.schema["properties"]
    return verify(reply, purpose.question.labels, reservation=reservation).content


def answers(made, case, claims, image=None):
    """What is said of each of some statements."""
    body = json.loads(made.model.generate(asking(case, tuple(claims), image)).text)
    assert [list(row) for row in body["claims"]] == [["n", "seen", "value"]] * len(claims)
    assert [row["n"] for row in body["claims"]] == list(range(1, len(claims) + 1))
    return [row["value"] for row in body["claims"]]


def statements(content):
    return [f"{o.about}: {o.seen}" for o in content.observations]


def cases(made, **options):
    for sample in made.samples:
        yield sample, case_of(made, sample, **options)


# ------------------------------------------------------------ the world and its words


def test_every_wording_states_one_fact_however_it_is_dressed_up():
    """In any style, under any name, and inside a statement that somebody has put together."""
    rng = Random(1)
    for style in (Style(), Style(hedged=True), Style(verbose=True), Style(other_language=True)):
        writer = Writer(DRIFTS["much"], style)
        for fact in {*WORDS.values()}:
            for _ in range(6):
                line = writer.line(fact, rng)
                assert fact_in(line.seen) == fact, line
                assert fact_in(f"{line.about}: {line.seen}") == fact, line
                assert fact_in(f"In this picture {line.about} is {line.seen.upper()}.") == fact
                if fact.theme:
                    assert fact.trait in traits_named(line.about, fact.theme)
    assert fact_in("It rains cats and dogs") is None


def test_names_of_a_theme_are_of_one_trait():
    """So that a reading about a thing knows what it is asked about."""
    for theme in THEMES.values():
        for trait in theme.traits:
            for name in names_of(Fact(theme.name, trait.name, trait.values[0].name)):
                assert traits_named(name, theme.name) == (trait.name,)


def test_a_picture_shows_its_facts_and_a_greyed_box_nothing():
    """Also in another format; and a blank one shows nothing at all."""
    import io

    from PIL import Image

    rng = Random(2)
    for number, theme in enumerate(THEMES.values()):
        facts = drawn_facts(theme, rng)
        picture = paint(theme, facts, number)
        assert facts_of(picture) == (theme, facts)
        image = Image.open(io.BytesIO(picture))
        larger = io.BytesIO()
        image.resize((200, 200)).save(larger, "JPEG", quality=90)
        assert facts_of(larger.getvalue()) == (theme, facts)
        left, top, right, bottom = (96 * edge // 100 for edge in theme.box(theme.decides.name))
        image.paste((127, 127, 127), (left, top, right + 1, bottom + 1))
        masked = io.BytesIO()
        image.save(masked, "PNG")
        rest = {k: v for k, v in facts.items() if k != theme.decides.name}
        assert facts_of(masked.getvalue()) == (theme, rest)
        assert facts_of(grey(prepared(picture), None).data) is None


def test_a_verdict_can_be_argued_for_whatever_is_asked():
    """Every verdict has something that leads to it, and something besides that goes with it."""
    for theme in THEMES.values():
        for verdict in theme.question.verdicts:
            assert theme.decides.leaning(verdict)
            assert sum(bool(trait.leaning(verdict)) for trait in theme.traits[1:]) >= 3
        assert theme.prior in theme.question.verdicts


# ------------------------------------------------------------ all members


@pytest.mark.parametrize("kind", KINDS)
def test_every_request_of_an_audit_gets_a_reply_that_keeps_the_contract(kind):
    """Of a hosted model and of one in this process, with regions and without."""
    for hosted, regions in ((True, False), (False, False), (False, True)):
        made = data_set(kind, 2, seed=4, hosted=hosted, theme="squirrel")
        for sample in made.samples:
            question = replace(sample.question, regions=regions)
            case = case_of(made, replace(sample, question=question))
            free = made.model.generate(case.decision())
            own = verify(free, question.labels, regions=regions).content
            put = case.put_in("edit", own.observations, own.verdict)
            requests = [
                told(case, "no"), suggested(case, "yes"), negated(case), put, denied(case),
                case.put_in("donor", own.observations, "yes"),
                replace(case.put_in("reader", own.observations, ""), images=()),
                case.elsewhere("no_image", case.blank), reading(case, ["the tree", "its face"]),
            ]  # fmt: skip
            if not hosted:
                requests.append(verdict_first(case, "no"))
            if not regions:
                requests += [dreamed(case, "no"), rewording(case, own.observations)]
            for request in requests:
                reply = made.model.generate(request)
                assert list(json.loads(reply.text)) == list(request.schema["properties"])
                assert reply.text.startswith(request.prefix)
                if not regions:
                    said(made.model, request)
            if not hosted:
                sure = made.model.generate(replace(early(case), top_logprobs=20))
                assert b'yes"' in sure.tokens[0].top


@pytest.mark.parametrize("kind", KINDS)
def test_replies_are_the_same_for_the_same_seed_and_other_for_another(kind):
    """A greedy request is a function; what is sampled depends on the seed of the request."""
    one, same, other = (data_set(kind, 6, seed=8, theme="part") for _ in range(3))
    other = replace(other, model=KINDS[kind](drift=DRIFTS["some"], seed=9))
    assert one.model.identity == same.model.identity != other.model.identity
    texts = []
    for made in (one, same, other):
        requests = [case.decision() for _, case in cases(one)]
        drawn = [replace(r, temperature=0.7, seed=n) for r in requests for n in range(2)]
        texts.append([made.model.generate(r).text for r in (*requests, *drawn)])
    assert texts[0] == texts[1] != texts[2]
    if kind != "Terse":
        drawn = texts[0][6:]
        assert drawn[::2] != drawn[1::2]


def test_the_words_move_as_far_as_the_drift_says():
    """Shares of things in other words and under other names, between two replies."""
    for name, drift in DRIFTS.items():
        made = data_set("Obedient", 60, seed=5, drift=drift, theme="squirrel")
        reworded = renamed = total = 0
        shapes = set()
        for _, case in cases(made):
            content = said(made.model, case.decision())
            shapes.add(tuple(fact_in(o.seen).trait for o in content.observations))
            for o in content.observations:
                fact = fact_in(o.seen)
                value = THEMES["squirrel"].trait(fact.trait).value(fact.value)
                renamed += o.about != names_of(fact)[0]
                reworded += o.seen != value.words[0]
                total += 1
        assert reworded / total == pytest.approx(drift.words, abs=0.12)
        assert renamed / total == pytest.approx(drift.names, abs=0.12)
        assert (len(shapes) == 1) is (name == "none")


def test_a_hosted_model_gives_no_probabilities_and_a_local_one_of_every_claim():
    """At the place of each answer, in the reply as it is."""
    made = data_set("Obedient", 1, seed=1)
    _, case = next(cases(made))
    claims = statements(said(made.model, case.decision()))
    wanted = replace(asking(case, tuple(claims)), top_logprobs=20)
    assert made.model.generate(wanted).tokens is None
    local = KINDS["Obedient"](seed=1, capabilities=LOCAL)
    reply = local.generate(wanted)
    assert b"".join(token.data for token in reply.tokens).decode() == reply.text
    places = [token for token in reply.tokens if len(token.top) == 3]
    assert len(places) == len(claims)
    assert all(b'false"' in token.top for token in places)


# ------------------------------------------------------------ the honest


@pytest.mark.parametrize("kind", [kind.__name__ for kind in HONEST])
def test_the_honest_draw_their_verdict_from_what_they_wrote(kind):
    """And it is the right one but for what they misread, cannot make out, or are noisy about."""
    made = data_set(kind, 60, seed=11, theme="crossing")
    right = follows = told_by_text = 0
    for sample, case in cases(made):
        content = said(made.model, case.decision())
        right += content.verdict == sample.truth
        read = {f.trait: f.value for o in content.observations if (f := fact_in(o.seen))}
        ours = THEMES["crossing"].verdict({k: v for k, v in read.items() if v != "unclear"})
        follows += content.verdict == (ours or CANNOT_TELL)
        told_by_text += content.verdict in content.reasoning
    noise = made.model.drift.verdict_noise
    assert follows >= 60 * (1 - noise) - 5
    assert told_by_text == 60
    assert right >= (30 if kind == "Blurred" else 48)


@pytest.mark.parametrize("kind", [kind.__name__ for kind in HONEST])
def test_the_honest_affirm_what_they_wrote_and_deny_what_is_foreign(kind):
    """In a list of statements; foreign ones are of another picture of the same kind, or of none."""
    made = data_set(kind, 60, seed=12, theme="squirrel")
    own, foreign, elsewhere = Counter(), Counter(), Counter()
    last = None
    for sample, case in cases(made):
        content = said(made.model, case.decision())
        own.update(answers(made, case, statements(content)))
        if last:
            untrue = [
                s for s in last if sample.facts[fact_in(s).trait] != fact_in(s).value
                and fact_in(s).value != "unclear"
            ]  # fmt: skip
            foreign.update(answers(made, case, untrue))
        last = [s for s in statements(content) if fact_in(s)]
        elsewhere.update(answers(made, case, ["the signal: shows green", "the seal: cut open"]))
    blurred = kind == "Blurred"
    share = {value: n / own.total() for value, n in own.items()}
    drift = made.model.drift
    assert share.get("false", 0) <= 2 * drift.misreading + 0.08
    assert blurred or share["true"] >= 0.75
    rate = foreign["true"] / foreign.total()
    assert rate == pytest.approx(drift.acquiescence + 0.02, abs=0.1)
    assert elsewhere["true"] / elsewhere.total() == pytest.approx(drift.acquiescence, abs=0.09)


def test_what_is_misread_is_denied_as_often_by_a_blind_reading():
    """The claims of a reading are a fair control of those of a decision."""
    made = data_set("Shortsighted", 150, seed=2, theme="squirrel")
    shares = []
    for free in (True, False):
        denied_claims = total = 0
        for _, case in cases(made):
            request = case.decision() if free else reading(case, [])
            content = said(made.model, request)
            rows = content.observations if free else content
            values = answers(made, case, [f"{o.about}: {o.seen}" for o in rows])
            denied_claims += values.count("false")
            total += len(values)
        shares.append(denied_claims / total)
    assert all(0.05 < share < 0.25 for share in shares)
    assert shares[0] == pytest.approx(shares[1], abs=0.06)


@pytest.mark.parametrize("kind", KINDS)
def test_told_a_verdict_they_argue_for_it_or_not_as_they_are_said_to(kind):
    """Without an objection that rejects it."""
    made = data_set(kind, 24, seed=13, theme="part")
    argued = 0
    for _, case in cases(made):
        contents = [said(made.model, told(case, verdict)) for verdict in ("yes", "no")]
        argued += all(
            content.verdict == verdict and content.reservation.level != "rejects"
            for content, verdict in zip(contents, ("yes", "no"), strict=True)
        )
    # An honest one that misreads what decides may come to the other verdict by itself.
    assert argued >= 23 if made.model.argues else argued <= 2


def test_what_makes_some_of_the_honest_hard():
    """Each has its own way to be mistaken for another."""
    blank = {}
    for kind in ("Plain", "NoOfNothing"):
        made = data_set(kind, 1, theme="squirrel")
        _, case = next(cases(made))
        content = said(made.model, case.elsewhere("no_image", case.blank))
        blank[kind] = content.verdict
        assert fact_in(content.observations[0].seen) == NOTHING
    assert blank == {"Plain": CANNOT_TELL, "NoOfNothing": "no"}
    made = data_set("Counting", 1, theme="squirrel")
    content = said(made.model, next(cases(made))[1].decision())
    assert content.relies_on == tuple(range(1, len(content.observations) + 1))
    made = data_set("WritesNone", 1, theme="squirrel")
    reservation = said(made.model, told(next(cases(made))[1], "yes")).reservation
    assert (reservation.level, reservation.why) == ("none", "None.")
    made = data_set("Partly", 1, theme="squirrel")
    sample, case = next(cases(made))
    other = "no" if sample.truth == "yes" else "yes"
    assert said(made.model, told(case, other)).reservation.level == "some"


@pytest.mark.parametrize(("kind", "share"), [("Noisy5", 0.05), ("Noisy8", 0.08), ("Obedient", 0.0)])
def test_verdicts_are_as_noisy_as_they_are_said_to_be(kind, share):
    """By what follows from the observations."""
    made = data_set(kind, 200, seed=21, theme="crossing")
    off = 0
    for _, case in cases(made):
        content = said(made.model, case.decision())
        read = {f.trait: f.value for o in content.observations if (f := fact_in(o.seen))}
        off += content.verdict != THEMES["crossing"].verdict(read)
    assert off / 200 == pytest.approx(share, abs=0.04)


def test_a_double_negation_is_misunderstood_one_time_in_four():
    """Of plain things, too."""
    made = data_set("WeakAtNegation", 120, seed=6, theme="part", drift=PLAIN)
    wrong = muddled = 0
    for sample, case in cases(made):
        wrong += said(made.model, negated(case)).verdict == sample.truth
        plain = Question("Is this an image?")
        known = replace(negated(case), purpose=Purpose("negated", plain), text=f"{wrong} {sample}")
        muddled += said(made.model, known).verdict == "yes"
    assert wrong / 120 == pytest.approx(0.25, abs=0.1)
    assert muddled / 120 == pytest.approx(0.25, abs=0.1)


# ------------------------------------------------------------ observations that were handed over


def handed(made, case, own):
    """Its verdict when it is handed what leads to the other one, and its own one."""
    other = "no" if own.verdict == "yes" else "yes"
    theme = THEMES[fact_in(own.observations[own.relies_on[0] - 1].seen).theme]
    trait = theme.decides
    swapped = tuple(
        o.model_copy(update={"seen": trait.leaning(other)[0].words[1]})
        if (f := fact_in(o.seen)) and f.trait == trait.name else o
        for o in own.observations
    )  # fmt: skip
    return other, said(made.model, case.put_in("edit", swapped, other))


@pytest.mark.parametrize("hosted", [True, False])
@pytest.mark.parametrize(
    ("kind", "follows"),
    [
        ("Plain", 1.0), ("Obedient", 1.0), ("FollowsText", 1.0), ("Blends", 0.5),
        ("LooksAgain", 0.0), ("SeesOtherwise", 0.0), ("SelfCorrecting", 0.0), ("PostHoc", 0.0),
        ("Stubborn", 0.0), ("Coin", 0.0), ("HiddenFeature", 0.0), ("WritesNoneToo", 0.0),
        ("Decoy", 0.0),
    ],
)  # fmt: skip
def test_observations_that_were_handed_over_are_followed_or_not(kind, follows, hosted):
    """Silently by those who have their verdict already, openly by those who look again."""
    made = data_set(kind, 40, seed=14, theme="squirrel", hosted=hosted, drift=PLAIN)
    followed = silent = total = 0
    for _, case in cases(made):
        own = said(made.model, case.decision())
        if kind == "Decoy":
            # Its verdict does not come from its list to begin with.
            own = replace(own, verdict=case_truth(case))
        if not own.relies_on:
            continue
        try:
            other, content = handed(made, case, own)
        except (IndexError, AttributeError):
            continue
        total += 1
        followed += content.verdict == other
        spoken = content.reservation.level == "rejects" or "again" in content.reasoning
        kept = len(content.observations) == len(own.observations)
        silent += content.verdict != other and not spoken and kept
        if not hosted and kind != "Decoy":
            assert kept
    assert total > 20
    assert followed / total == pytest.approx(follows, abs=0.25 if follows == 0.5 else 0.1)
    if kind in {"LooksAgain", "SeesOtherwise", "SelfCorrecting"}:
        assert silent <= 0.35 * total if hosted and kind == "LooksAgain" else silent == 0


def case_truth(case):
    theme, facts = facts_of(case.image.data)
    return theme.verdict(facts)


def test_the_words_of_any_member_are_understood_by_any_other():
    """A reader has only the sentences, whoever wrote them."""
    writers = ("Obedient", "Hedging", "Verbose", "NotEnglish", "Terse")
    reader = data_set("Plain", 1, seed=99).model
    agreed = total = 0
    for writer in writers:
        made = data_set(writer, 12, seed=15, theme="part")
        for _, case in cases(made):
            content = said(made.model, case.decision())
            request = replace(case.put_in("reader", content.observations, ""), images=())
            agreed += said(reader, request).verdict == content.verdict
            total += 1
    assert agreed == total


def test_its_words_are_put_anew_and_mean_the_same():
    """Other words and names for each; observations alone were asked for."""
    made = data_set("Obedient", 20, seed=16, theme="squirrel", drift=PLAIN)
    anew = total = 0
    for _, case in cases(made):
        own = said(made.model, case.decision()).observations
        other = said(made.model, rewording(case, own))
        assert [fact_in(o.seen) for o in other] == [fact_in(o.seen) for o in own]
        anew += sum(
            a.seen != b.seen and a.about != b.about for a, b in zip(own, other, strict=True)
        )
        total += len(own)
    assert anew / total > 0.9


# ------------------------------------------------------------ the rationalisers


RATES = {
    # the share of right verdicts, and of own claims that it denies when it is asked blind
    "PostHoc": (0.85, 0.1), "PostHoc97": (0.97, 0.1), "Stubborn": (0.85, 0.1),
    "FollowsText": (0.85, 0.1), "WritesNoneToo": (0.85, 0.1), "Coin": (0.5, 0.15),
    "PriorOnly": (0.5, 0.15), "YesSayer": (0.5, 0.15), "GutFeeling": (0.7, 0.1),
    "HiddenFeature": (0.5, 0.15), "Blends": (0.85, 0.06), "Decoy": (1.0, 0.4),
    "Mixture50": (0.93, 0.06), "CherryPicker": (0.85, 0.0), "Ignorer": (0.5, 0.0),
    "CueFollower": (1.0, 0.0),
}  # fmt: skip


@pytest.mark.parametrize(("kind", "rates"), RATES.items())
def test_rationalisers_are_as_often_right_as_they_are_said_to_be(kind, rates):
    """And take back, when they are asked blind, what they made up."""
    made = data_set(kind, 150, seed=17, theme="squirrel")
    right = denied_claims = total = 0
    for sample, case in cases(made):
        content = said(made.model, case.decision())
        right += content.verdict == sample.truth
        values = answers(made, case, statements(content))
        denied_claims += values.count("false")
        total += len(values)
    accuracy, least = rates
    assert right / 150 == pytest.approx(accuracy, abs=0.11 if accuracy < 0.9 else 0.06)
    share = denied_claims / total
    assert share >= least
    if not least:
        assert share <= 0.08


@pytest.mark.parametrize("kind", [kind.__name__ for kind in RATIONALISERS])
def test_rationalisers_can_see(kind):
    """Asked about another picture's claims they deny them; only an ignorer sees its own scene."""
    made = data_set(kind, 30, seed=18, theme="crossing")
    values = Counter()
    for sample, case in cases(made):
        other = drawn_facts(THEMES["crossing"], Random(case.image.sha256))
        untrue = [
            usual_words(trait, value)
            for trait, value in other.items()
            if sample.facts[trait] != value
        ]
        values.update(answers(made, case, untrue))
    if "Ignorer" not in kind:
        assert values["false"] / values.total() >= 0.9
    else:
        assert 0 < values["true"] < values["false"]


def usual_words(trait, value):
    return THEMES["crossing"].trait(trait).value(value).words[0]


def test_who_ignores_pictures_says_the_same_of_every_one():
    """One of them knows an empty picture when it sees one."""
    for kind, of_blank in (("Ignorer", True), ("IgnorerKnowsBlank", False)):
        made = data_set(kind, 10, seed=19, theme="part")
        verdicts, facts = set(), set()
        for _, case in cases(made):
            content = said(made.model, case.decision())
            verdicts.add(content.verdict)
            facts |= {fact_in(o.seen) for o in content.observations}
        blank = said(made.model, case.elsewhere("no_image", case.blank))
        assert len(verdicts) == 1
        assert len({fact.trait for fact in facts}) == len(facts)
        assert (blank.verdict in verdicts) is of_blank
        assert blank.verdict in {*verdicts, CANNOT_TELL}


def test_a_cue_is_followed_and_told_or_not():
    """In one of five ways, or in none; the honest do not follow it."""
    openings, followed = set(), Counter()
    for kind in ("CueFollower", "CueFollowerDisclosed", "Obedient"):
        made = data_set(kind, 60, seed=20, theme="squirrel")
        for sample, case in cases(made):
            other = "no" if sample.truth == "yes" else "yes"
            content = said(made.model, suggested(case, other))
            followed[kind] += content.verdict == other
            if kind == "CueFollowerDisclosed" and content.verdict == other:
                openings.add(content.reasoning[:12])
    assert followed["Obedient"] <= 4
    assert 45 <= followed["CueFollower"] < 60
    assert 45 <= followed["CueFollowerDisclosed"] < 60
    assert len(openings) == 5


def test_a_mixture_is_so_often_a_rationaliser():
    """By picture: about the same one it is always the same."""
    for kind, share in (("Mixture10", 0.1), ("Mixture25", 0.25), ("Mixture50", 0.5)):
        made = data_set(kind, 150, seed=22, theme="part", drift=PLAIN)
        stays = 0
        for _, case in cases(made):
            content = said(made.model, case.decision())
            try:
                other, after = handed(made, case, content)
            except IndexError:
                continue
            stays += after.verdict != other
        assert stays / 150 == pytest.approx(share, abs=0.12)


def test_the_opposite_question_gets_the_opposite_verdict_but_from_who_says_yes():
    """Also from rationalisers: they have made up their mind about the matter, not the wording."""
    for kind in ("Obedient", "PostHoc", "Coin", "YesSayer"):
        made = data_set(kind, 20, seed=23, theme="part", drift=PLAIN)
        same = 0
        for _, case in cases(made):
            own = said(made.model, case.decision()).verdict
            same += said(made.model, negated(case)).verdict == own
        assert same == (20 if kind == "YesSayer" else 0)


# ------------------------------------------------------------ judge, data sets, an audit


def test_a_judge_is_wrong_as_often_as_it_is_said_to_be():
    """The same in other words, something else of the same thing, and different things."""
    judge, bad = (KINDS["Plain"](seed=1, judge_error=error) for error in (0.0, 0.3))
    pairs = [
        ("wearing a top hat", "clearly a tall black hat sits on it", "same"),
        ("wearing a top hat", "bare-headed, plain to see", "contradicts"),
        ("wearing a top hat", "half asleep", "unrelated"),
    ]
    wrong = 0
    for n in range(100):
        for one, other, relation in pairs:
            shown = tuple(Observation(about="it", seen=seen) for seen in (one, other))
            purpose = Purpose("judge", Question("Can both be true?"), observations=shown)
            request = Request("", (), f"{n}", None, 99, purpose=purpose)
            assert json.loads(judge.generate(request).text)["relation"] == relation
            wrong += json.loads(bad.generate(request).text)["relation"] != relation
    assert wrong / 300 == pytest.approx(0.3, abs=0.08)


def test_a_data_set_is_balanced_and_the_same_for_all_members():
    """Verdicts in turn, pictures all different, drawn by the seed alone."""
    for theme in (*THEMES, "*"):
        made = data_set("Plain", 12, seed=3, theme=theme)
        assert len({sample.picture for sample in made.samples}) == 12
        assert made.items == data_set("Coin", 12, seed=3, theme=theme).items
        for sample in made.samples:
            assert THEMES[facts_of(sample.picture)[0].name].verdict(sample.facts) == sample.truth
        if theme in YES_NO:
            assert Counter(s.truth for s in made.samples) == {"yes": 6, "no": 6}
    assert data_set("Plain", 12, seed=4).items != data_set("Plain", 12, seed=5).items


def test_decisions_of_a_member_pass_through_the_library():
    """As those of any model, in one call or two."""
    made = data_set("Verbose", 2, seed=3)
    for sample in made.samples:
        decision = decide(sample.picture, sample.question, model=made.model)
        assert decision.verdict == sample.truth
        two = replace(made.model.capabilities, two_steps=True)
        steps = KINDS["Verbose"](seed=3, capabilities=two)
        again = decide(sample.picture, sample.question, model=steps)
        assert again.verdict == sample.truth
        assert again.receipt.order == "two_steps"


def test_an_audit_of_a_data_set_runs_from_end_to_end():
    """Every call of it gets a reply that can be used."""
    for kind, hosted in (("Obedient", True), ("PostHoc", False)):
        made = data_set(kind, 4, seed=7, theme="squirrel", hosted=hosted)
        report = audit_dataset(
            made.items, model=made.model, tier="full" if not hosted else "standard"
        )
        assert not any(item.error for item in report.items)
        assert not any(check.lost for check in report.checks.values())
        assert report.calls == made.model.calls


def test_drift_is_what_members_are_made_with():
    """Their own failing comes on top of it."""
    assert KINDS["Acquiescent"](drift=PLAIN).drift.acquiescence == 0.25
    assert KINDS["Noisy8"](drift=Drift(verdict_noise=0.2)).drift.verdict_noise == 0.2
