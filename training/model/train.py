"""Training of the embedded model, stage by stage, from nothing to the shipped weights.

    python -m training.model.train            # all stages, resuming wherever an earlier run stopped
    python -m training.model.train vision     # one stage

Every stage is seeded, writes its state every ``--every`` steps to ``training/runs/`` by an atomic
rename, and goes on from there when started again. ``training/runs/*.log`` of the shipped weights is
kept in the repository; the state files are not.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from training.export.restore import grown
from training.model.data import ahead
from training.model.dialogue import KINDS, OBEYING
from training.model.joint import joint_batch, pull, spoken, spoken_batch
from training.model.language import (
    DRILLS,
    Oracle,
    Pages,
    drill_batch,
    exactness,
    language_batch,
    page_loss,
    tokenizer,
)
from training.model.network import Model, Sizes
from training.model.tokens import USER
from training.model.vision import Heads, pixels, vision_accuracy, vision_batch, vision_loss

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

RUNS = Path(__file__).parents[1] / "runs"
SEED = 20_000_000  # scenes below this number are never trained on


class Run:
    """A resumable loop: its modules, its optimiser, its place, and its log."""

    def __init__(
        self, name: str, modules: dict[str, nn.Module], rate: float, steps: int, seeing: float = 1.0
    ) -> None:
        """``seeing`` is the part of the rate that the tower and the projector get."""
        RUNS.mkdir(exist_ok=True)
        self.name, self.modules, self.rate, self.steps = name, modules, rate, steps
        self.path = RUNS / f"{name}.pt"
        self.started = time.time()
        named = [
            pair
            for module in modules.values()
            for pair in module.named_parameters()
            if pair[1].requires_grad
        ]
        weights = [p for _, p in named]
        groups = [
            {
                "params": params,
                "weight_decay": 0.02 if matrices else 0.0,
                "part": seeing if eyes else 1.0,
            }
            for matrices in (True, False)
            for eyes in (True, False)
            if (
                params := [
                    p
                    for n, p in named
                    if (p.dim() >= 2) == matrices and n.startswith(("tower.", "project.")) == eyes
                ]
            )
        ]
        self.optimiser = torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.98))
        self.weights = weights
        self.step, self.spent = begin_from(name, modules, self.optimiser)

    def schedule(self) -> float:
        """Warm up, stay, and fall in a straight line over the last half."""
        warm = (self.step + 1) / 100
        fall = (self.steps - self.step) / (self.steps / 2)
        return self.rate * max(0.02, min(1.0, warm, fall))

    def advance(self, loss: torch.Tensor) -> None:
        """One step of the optimiser."""
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.weights, 1.0)
        for group in self.optimiser.param_groups:
            group["lr"] = group["part"] * self.schedule()
        self.optimiser.step()
        self.step += 1

    def log(self, **figures: Any) -> None:  # noqa: ANN401 - whatever JSON takes
        """Append a line of figures."""
        row = {
            "step": self.step,
            "seconds": round(self.spent + time.time() - self.started),
            **figures,
        }
        row = {k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()}
        with (RUNS / f"{self.name}.log").open("a") as file:
            file.write(json.dumps(row) + "\n")

    def save(self) -> None:
        """Write the state beside and rename it into place."""
        state: dict[str, Any] = {key: module.state_dict() for key, module in self.modules.items()}
        state |= {"optimiser": self.optimiser.state_dict(), "step": self.step}
        state["spent"] = self.spent + time.time() - self.started
        part = self.path.with_suffix(".part")
        torch.save(state, part)
        part.replace(self.path)


def begin_from(
    name: str, modules: dict[str, nn.Module], optimiser: torch.optim.Optimizer | None = None
) -> tuple[int, float]:
    """Fill modules with the weights that a stage has reached.

    Args:
        name: The stage.
        modules: Modules by their names in its state; they stay as they are if it has not begun.
        optimiser: An optimiser to fill as well, where the same stage goes on.

    Returns:
        The steps it has made and the seconds they took.
    """
    path = RUNS / f"{name}.pt"
    if path.exists():
        state = torch.load(path, weights_only=True)
        for key, module in modules.items():
            module.load_state_dict(state[key])
        if optimiser is not None:
            optimiser.load_state_dict(state["optimiser"])
        return state["step"], state["spent"]
    if kept(name).exists():
        place = read_kept(name, modules)
        return int(place["step"]), float(place["spent"])
    return 0, 0.0


def kept(name: str) -> Path:
    """Where the weights of an unfinished stage are kept in the repository."""
    return RUNS / f"{name}.safetensors"


def read_kept(name: str, modules: dict[str, nn.Module]) -> dict[str, str]:
    """Fill modules with kept weights; returns the step and the seconds spent."""
    tensors = load_file(kept(name))
    for key, module in modules.items():
        own = {
            k.removeprefix(f"{key}:"): v.float()
            for k, v in tensors.items()
            if k.startswith(f"{key}:")
        }
        module.load_state_dict(own)
    with safe_open(kept(name), "pt") as file:
        return dict(file.metadata())


def keep() -> None:
    """Write the weights of every stage, in half precision and without the optimiser, to be
    committed.

    A stage that finds no state of its own goes on from them, so that a run can move to another
    machine.
    """
    for name in STAGES:
        if not (RUNS / f"{name}.pt").exists():
            continue
        state = torch.load(RUNS / f"{name}.pt", weights_only=True)
        place = {"step": str(state.pop("step")), "spent": str(state.pop("spent"))}
        del state["optimiser"]
        tensors = {
            f"{key}:{k}": v.half().contiguous()
            for key, part in state.items()
            for k, v in part.items()
        }
        save_file(tensors, kept(name), place)


def vision(steps: int, every: int) -> None:
    """Stage one: the tower alone, on the dense truth of every patch."""
    torch.manual_seed(1)
    sizes = Sizes()
    modules = {"tower": Model(sizes).tower, "heads": Heads(sizes.vision)}
    run = Run("vision", modules, rate=1.5e-3, steps=steps)
    batches = ahead(lambda seed: vision_batch(seed, 64), SEED // 64 + run.step)
    while run.step < steps:
        pictures, labels = next(batches)  # type: ignore[misc]
        logits = modules["heads"](modules["tower"](pixels(pictures)))
        loss = vision_loss(logits, labels)
        run.advance(loss)
        if run.step % 20 == 0 or run.step == steps:
            run.log(loss=loss.item(), **vision_accuracy(logits, labels))
        if run.step % every == 0 or run.step == steps:
            run.save()


def read_and_answer(
    model: Model,
    image: torch.Tensor,
    batches: list[Pages],
    marks: dict[str, list[bool]],
    places: torch.Tensor | None = None,
) -> torch.Tensor:
    """Mean loss of the pages about some images; adds to ``marks`` which pages were right."""
    read = model.read(image, torch.tensor([tokenizer().token_to_id(USER)]), places)
    total, count = torch.zeros(()), 0
    for pages in batches:
        hidden = model.answers(read, pages.of, pages.tokens)
        loss, tokens, right = page_loss(hidden, model.decoder.embed.weight, pages)
        total, count = total + loss, count + tokens
        for family, mark in zip(pages.families, right.tolist(), strict=True):
            marks.setdefault(family, []).append(mark)
    return total / count


def answer(model: Model, pages: Pages, marks: dict[str, list[bool]]) -> torch.Tensor:
    """Mean loss of pages that have no image; adds to ``marks`` which were right."""
    opening = torch.tensor([tokenizer().token_to_id(USER)])
    tokens = torch.cat((opening.expand(len(pages.tokens), 1), pages.tokens), 1)
    loss, count, right = page_loss(model.talk(tokens)[:, 1:], model.decoder.embed.weight, pages)
    marks.setdefault("texts", []).extend(right.tolist())
    return loss / count


def language(steps: int, every: int) -> None:
    """Stage two: the decoder, on the oracle's word."""
    torch.manual_seed(2)
    sizes = Sizes()
    model = Model(sizes)
    modules = {"decoder": model.decoder, "oracle": Oracle(sizes.width)}
    run = Run("language", modules, rate=2e-3, steps=steps)
    first = SEED // 16

    def make(seed: int) -> object:
        return drill_batch(seed, 16, 6) if seed - first < DRILLS else language_batch(seed, 16, 5)

    batches = ahead(make, first + run.step)
    marks: dict[str, list[bool]] = {}
    while run.step < steps:
        labels, places, pages = next(batches)  # type: ignore[misc]
        seen = modules["oracle"](labels, model.decoder.embed.weight)
        loss = read_and_answer(model, seen, pages, marks, places)
        run.advance(loss)
        if run.step % 50 == 0 or run.step == steps:
            run.log(loss=loss.item(), **exactness(marks))
            marks.clear()
        if run.step % every == 0 or run.step == steps:
            run.save()


def joint(steps: int, every: int) -> None:
    """Stage three: all of it, on pictures."""
    torch.manual_seed(3)
    sizes = Sizes()
    model, heads, oracle = Model(sizes), Heads(sizes.vision), Oracle(sizes.width)
    begin_from("vision", {"tower": model.tower, "heads": heads})
    begin_from("language", {"decoder": model.decoder, "oracle": oracle})
    oracle.requires_grad_(requires_grad=False)
    run = Run("joint", {"model": model, "heads": heads}, rate=8e-4, steps=steps)
    first = 2 * SEED // 32

    def make(seed: int) -> object:
        return joint_batch(seed, 32, 0) if seed - first < ALONE else joint_batch(seed, 20, 2)

    batches = ahead(make, first + run.step)
    marks: dict[str, list[bool]] = {}
    while run.step < steps:
        pictures, labels, told, pages = next(batches)  # type: ignore[misc]
        features = model.tower(pixels(pictures))
        if run.step == 0:
            model.project.measure(features)
        # A projector that knows nothing yet would only wreck what the tower has learnt.
        image = model.project(features.detach() if run.step < FRESH else features)
        dense = vision_loss(heads(features), labels)
        near = pull(image, oracle(told, model.decoder.embed.weight).detach())
        fade = max(0.3, 1.0 - max(0, run.step - ALONE) / PULLED)
        loss = read_and_answer(model, image, pages, marks) if pages else torch.zeros(())
        said = spoken(image, told, model.decoder.embed.weight)
        run.advance(loss + 0.2 * dense + fade * near + 0.1 * said)
        if run.step % 50 == 0 or run.step == steps:
            run.log(
                loss=loss.item(),
                dense=dense.item(),
                near=near.item(),
                said=said.item(),
                **exactness(marks),
            )
            marks.clear()
        if run.step % every == 0 or run.step == steps:
            run.save()


def everything(  # noqa: PLR0917 - a recipe
    run: Run, model: Model, heads: Heads, batches: Iterator[object], shown: float, every: int
) -> None:
    """Train all parts at once, on pictures with their pages and on pages that need no picture.

    Args:
        run: The stage, with its length.
        model: The model.
        heads: What asks the tower for the truth of every patch.
        batches: Pairs of a batch of pictures and one of texts.
        shown: How much it counts what the tower shows and the projector says, by themselves.
        every: How many steps between two saved states.
    """
    marks: dict[str, list[bool]] = {}
    while run.step < run.steps:
        (pictures, labels, told, pages), texts = next(batches)  # type: ignore[misc]
        with precision():
            features = model.tower(pixels(pictures))
            image = model.project(features)
            dense = vision_loss(heads(features.detach() if run.step < FRESH else features), labels)
            said = spoken(image, told, model.decoder.embed.weight)
            seen = read_and_answer(model, image, pages, marks)
            spoken_loss = answer(model, texts, marks)
        run.advance(seen + 0.5 * spoken_loss + shown * dense + shown * said)
        if run.step % 50 == 0 or run.step == run.steps:
            run.log(loss=seen.item(), dense=dense.item(), said=said.item(), **exactness(marks))
            marks.clear()
        if run.step % every == 0 or run.step == run.steps:
            run.save()


def practice(steps: int, every: int) -> None:
    """Stage four: the whole once more, on every kind of page, and on what needs no picture.

    Without a state of the third stage it goes on from the shipped pair.
    """
    torch.manual_seed(4)
    sizes = Sizes()
    model, heads = Model(sizes), Heads(sizes.vision)
    if (RUNS / "joint.pt").exists():
        begin_from("joint", {"model": model, "heads": heads})
    else:
        model.load_state_dict(grown())
    run = Run("practice", {"model": model, "heads": heads}, rate=3e-4, steps=steps)
    first = 3 * SEED // 12
    batches = ahead(
        lambda seed: (joint_batch(seed, 16, 4), spoken_batch(seed, 16)), first + run.step
    )
    everything(run, model, heads, batches, 0.1, every)


def decoder_alone(  # noqa: PLR0917 - a recipe
    name: str, before: str, kinds: Mapping[str, int], rate: float, steps: int, every: int
) -> None:
    """The decoder on pictures that are read for it, and on what needs no picture.

    Args:
        name: The stage.
        before: The stage that it goes on from.
        kinds: How often pages are of each kind.
        rate: The highest rate.
        steps: How many steps in all.
        every: How many steps between two saved states.
    """
    model = Model(Sizes())
    begin_from(before, {"model": model})
    model.tower.requires_grad_(requires_grad=False)
    model.project.requires_grad_(requires_grad=False)
    run = Run(name, {"model": model}, rate=rate, steps=steps)
    first = (4 + list(STAGES).index(name)) * SEED // 12
    batches = ahead(
        lambda seed: (joint_batch(seed, 12, 6, kinds, 0.4), spoken_batch(seed, 12)),
        first + run.step,
    )
    marks: dict[str, list[bool]] = {}
    while run.step < steps:
        (pictures, _, _, pages), texts = next(batches)  # type: ignore[misc]
        with precision():
            with torch.no_grad():
                image = model.project(model.tower(pixels(pictures)))
            seen = read_and_answer(model, image, pages, marks)
            spoken_loss = answer(model, texts, marks)
        run.advance(seen + 0.4 * spoken_loss)
        if run.step % 50 == 0 or run.step == steps:
            run.log(loss=seen.item(), **exactness(marks))
            marks.clear()
        if run.step % every == 0 or run.step == steps:
            run.save()


def obey(steps: int, every: int) -> None:
    """Stage five: the decoder alone, at a high rate again, mostly on verdicts that it is told."""
    torch.manual_seed(6)
    decoder_alone("obey", "practice", OBEYING, 1e-3, steps, every)


def settle(steps: int, every: int) -> None:
    """Stage six: the decoder alone, at a falling rate, on every kind of page, so that nothing stays
    forgotten.
    """
    torch.manual_seed(7)
    decoder_alone("settle", "obey", KINDS, 4e-4, steps, every)


def refine(steps: int, every: int) -> None:
    """Stage seven: all of it at a low rate that falls, the tower at half of it, on many pictures
    with two pages each.

    Without a state of the stage before it goes on from the shipped pair.
    """
    torch.manual_seed(8)
    sizes = Sizes()
    model, heads = Model(sizes), Heads(sizes.vision)
    if (RUNS / "settle.pt").exists():
        begin_from("settle", {"model": model})
    else:
        model.load_state_dict(grown())
    run = Run("refine", {"model": model, "heads": heads}, rate=4e-4, steps=steps, seeing=0.5)
    first = 10 * SEED // 28
    batches = ahead(
        lambda seed: (joint_batch(seed, 28, 2), spoken_batch(seed, 14)), first + run.step
    )
    everything(run, model, heads, batches, 0.2, every)


def speak(steps: int, every: int) -> None:
    """Stage eight: the second contract, places, claims and everyday words, from the shipped pair.

    The claims were first asked for a bare value, which was not learnt; since then each is restated
    beside what is seen. ``begun`` is what was reached by then.
    """
    torch.manual_seed(9)
    sizes = Sizes()
    model, heads = Model(sizes), Heads(sizes.vision)
    if not (RUNS / "speak.pt").exists():
        state = grown()
        if (RUNS / "begun.pt").exists():
            begun = torch.load(RUNS / "begun.pt", weights_only=True)["model"]
            words = state["decoder.embed.weight"]
            words[: len(begun["decoder.embed.weight"])] = begun["decoder.embed.weight"]
            state = {**begun, "decoder.embed.weight": words}
        model.load_state_dict(state)
    run = Run("speak", {"model": model, "heads": heads}, rate=6e-4, steps=steps, seeing=0.4)
    first = 40 * SEED // 20
    batches = ahead(
        lambda seed: (joint_batch(seed, 20, 3), spoken_batch(seed, 8)), first + 2000 + run.step
    )
    everything(run, model, heads, batches, 0.2, every)


def precision() -> AbstractContextManager[object]:
    """bfloat16 where the processor multiplies it; on others it is several times slower than
    float32.
    """
    bfloat16 = torch.ops.mkldnn._is_mkldnn_bf16_supported  # noqa: SLF001 - has no public name
    native = torch.backends.mkldnn.is_available() and bfloat16()
    return torch.autocast("cpu", torch.bfloat16) if native else nullcontext()


FRESH = 150  # steps in which only the projector follows the oracle
ALONE = (
    400  # steps in which only tower and projector learn, before the decoder is shown what they say
)
PULLED = 600  # steps over which the pull towards the oracle fades
STAGES = {
    "vision": (vision, 3500),
    "language": (language, 3500),
    "joint": (joint, 5500),
    "practice": (practice, 2600),
    "obey": (obey, 600),
    "settle": (settle, 400),
    "refine": (refine, 2600),
    "speak": (speak, 5000),
}


def main() -> None:
    """Run the stages asked for."""
    parser = argparse.ArgumentParser(description="train the embedded model")
    parser.add_argument(
        "stage",
        nargs="*",
        choices=[*STAGES, []],
        help="which stages; all of them when none is named",
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--every", type=int, default=50, help="steps between two saved states")
    parser.add_argument("--steps", type=int, help="length of the stage, where one is named")
    parser.add_argument(
        "--keep", action="store_true", help="write the weights reached so far, and stop"
    )
    args = parser.parse_args()
    if args.keep:
        keep()
        return
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    torch.set_num_threads(args.threads)
    # For heads and sequences this small, plain products are faster backwards than the fused kernel.
    with sdpa_kernel(SDPBackend.MATH):
        for name in args.stage or STAGES:
            stage, steps = STAGES[name]
            stage(args.steps or steps, args.every)


if __name__ == "__main__":
    main()
