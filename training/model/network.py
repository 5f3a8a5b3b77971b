"""The embedded model: a vision tower, a projector and a decoder, in the layout known as LLaVA.

The three parts are written out here, small and plain, instead of being taken from a library:
training needs one thing that libraries do not offer, many questions on one image in one pass. The
image is read once; its keys and values are then shared by all questions about it, each of which
sees the image and itself and nothing of the others. The arithmetic is that of SigLIP (tower) and
Llama (decoder), so the weights load into those architectures unchanged (``training.export.gguf``).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True, slots=True)
class Sizes:
    """What fixes the shape of every weight.

    Attributes:
        image: Side of the square input, in pixels.
        patch: Side of a patch, in pixels.
        vision: Width of the tower.
        vision_ffn: Inner width of the tower's feed-forward part.
        vision_layers: Layers of the tower.
        vision_heads: Attention heads of the tower.
        width: Width of the decoder.
        ffn: Inner width of the decoder's feed-forward part.
        layers: Layers of the decoder.
        heads: Attention heads of the decoder.
        vocab: Tokens.
        context: Longest sequence the exported model promises.
    """

    image: int = 128
    patch: int = 16
    vision: int = 192
    vision_ffn: int = 768
    vision_layers: int = 5
    vision_heads: int = 3
    width: int = 128
    ffn: int = 384
    layers: int = 8
    heads: int = 4
    vocab: int = 1843
    context: int = 1024

    @property
    def patches(self) -> int:
        """Visual tokens of one image."""
        return (self.image // self.patch) ** 2


class TowerBlock(nn.Module):
    """One layer of SigLIP: attention and feed-forward, each behind a layer norm."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        width = sizes.vision
        self.heads = sizes.vision_heads
        self.ln1, self.ln2 = nn.LayerNorm(width, eps=1e-6), nn.LayerNorm(width, eps=1e-6)
        self.q, self.k, self.v = (nn.Linear(width, width) for _ in range(3))
        self.out = nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, sizes.vision_ffn), nn.Linear(sizes.vision_ffn, width)

    def forward(self, x: Tensor) -> Tensor:
        h = self.ln1(x)
        q, k, v = (split(part(h), self.heads) for part in (self.q, self.k, self.v))
        x = x + self.out(merge(functional.scaled_dot_product_attention(q, k, v)))
        return x + self.down(functional.gelu(self.up(self.ln2(x)), approximate="tanh"))


class Tower(nn.Module):
    """SigLIP without its last norm: pixels to one vector a patch."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, sizes.vision, sizes.patch, sizes.patch)
        self.position = nn.Parameter(torch.randn(sizes.patches, sizes.vision) * 0.02)
        self.blocks = nn.ModuleList(TowerBlock(sizes) for _ in range(sizes.vision_layers))

    def forward(self, pixels: Tensor) -> Tensor:
        """Args: pixels (B, 3, H, W) in -1..1. Returns: (B, patches, vision)."""
        x = self.embed(pixels).flatten(2).transpose(1, 2) + self.position
        for block in self.blocks:
            x = block(x)
        return x


class Norm(nn.Module):
    """Root-mean-square norm."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return functional.rms_norm(x, self.weight.shape, self.weight, 1e-5)


class Block(nn.Module):
    """One layer of Llama."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        width = sizes.width
        self.heads = sizes.heads
        self.attn_norm, self.ffn_norm = Norm(width), Norm(width)
        self.q, self.k, self.v, self.o = (nn.Linear(width, width, bias=False) for _ in range(4))
        self.gate, self.up = (nn.Linear(width, sizes.ffn, bias=False) for _ in range(2))
        self.down = nn.Linear(sizes.ffn, width, bias=False)

    def forward(
        self, x: Tensor, rope: tuple[Tensor, Tensor], past: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """From x (N, T, width) and a prefix's keys and values to the output and its own of both."""
        h = self.attn_norm(x)
        q = rotate(split(self.q(h), self.heads), rope)
        k = rotate(split(self.k(h), self.heads), rope)
        v = split(self.v(h), self.heads)
        own = (k, v)
        mask = None
        if past is not None:
            k, v = torch.cat((past[0], k), 2), torch.cat((past[1], v), 2)
            mask = torch.ones(q.shape[2], k.shape[2], dtype=torch.bool).tril(
                k.shape[2] - q.shape[2]
            )
        mixed = functional.scaled_dot_product_attention(
            q, k, v, attn_mask=mask, is_causal=past is None
        )
        x = x + self.o(merge(mixed))
        h = self.ffn_norm(x)
        return x + self.down(functional.silu(self.gate(h)) * self.up(h)), own


class Decoder(nn.Module):
    """Llama with tied embeddings."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.embed = nn.Embedding(sizes.vocab, sizes.width)
        self.blocks = nn.ModuleList(Block(sizes) for _ in range(sizes.layers))
        self.norm = Norm(sizes.width)

    def rope(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Rotary angles of positions (T,) or (N, T), in Hugging Face's half-split order."""
        half = self.sizes.width // self.sizes.heads // 2
        speed = 10000.0 ** (-torch.arange(half, dtype=torch.float32) / half)
        angle = positions[..., None] * speed
        angle = torch.cat((angle, angle), -1)
        if positions.dim() == 2:
            angle = angle[:, None]
        return angle.cos(), angle.sin()

    def run(
        self, x: Tensor, positions: Tensor, past: list[tuple[Tensor, Tensor]] | None = None
    ) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        """Run embedded inputs.

        Args:
            x: (N, T, width).
            positions: Where they stand, (T,) or (N, T).
            past: Per layer the keys and values of what stands before, (N, heads, P, head).

        Returns:
            Normed outputs (N, T, width), and per layer the own keys and values.
        """
        rope = self.rope(positions.float())
        kept = []
        for i, block in enumerate(self.blocks):
            x, own = block(x, rope, None if past is None else past[i])
            kept.append(own)
        return self.norm(x), kept

    def logits(self, hidden: Tensor) -> Tensor:
        """Scores over the vocabulary."""
        return hidden @ self.embed.weight.T


class Projector(nn.Module):
    """Two layers from the tower's features to the decoder's input.

    A tower without a last norm gives features of any size, and a step of the optimiser that is
    small for the tower is then a leap for the projector. So features are brought to mean 0 and
    deviation 1 first, by constants measured once; ``fold`` moves them into the first layer, since
    LLaVA knows no such step.
    """

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.first = nn.Linear(sizes.vision, sizes.width)
        self.second = nn.Linear(sizes.width, sizes.width)
        self.register_buffer("mean", torch.zeros(sizes.vision))
        self.register_buffer("spread", torch.ones(sizes.vision))

    def forward(self, features: Tensor) -> Tensor:
        h = self.first((features - self.mean) / self.spread)
        return self.second(functional.gelu(h, approximate="tanh"))

    @torch.no_grad()
    def measure(self, features: Tensor) -> None:
        """Take the constants from some features (B, patches, vision)."""
        self.mean.copy_(features.mean((0, 1)))
        self.spread.copy_(features.std((0, 1)))

    @torch.no_grad()
    def fold(self) -> None:
        """Move the constants into the first layer; what is computed stays the same."""
        self.first.weight.div_(self.spread)
        self.first.bias.sub_(self.first.weight @ self.mean)
        self.mean.zero_()
        self.spread.fill_(1.0)


class Model(nn.Module):
    """Tower, projector and decoder."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.tower = Tower(sizes)
        self.project = Projector(sizes)
        self.decoder = Decoder(sizes)
        for name, weight in self.named_parameters():
            if weight.dim() >= 2 and "position" not in name:
                # Words start large beside what the first layers add to them, so that like meets
                # like from the first step: looking a word up in the picture comes five times sooner
                # than with the usual 0.02.
                nn.init.normal_(
                    weight, std=0.1 if "decoder.embed" in name else weight[0].numel() ** -0.5
                )
                if name.endswith((".o.weight", ".down.weight", ".out.weight")):
                    weight.data *= 0.4

    def read(
        self, image: Tensor, opening: Tensor, places: Tensor | None = None
    ) -> list[tuple[Tensor, Tensor]]:
        """Read images once.

        Args:
            image: (B, patches, width), projected; or fewer patches, with their places.
            opening: (1,) the token before the image.
            places: (B, patches) which patch each vector is, 0 the first; all in turn when None.

        Returns:
            Per layer, keys and values of the opening and the image.
        """
        first = self.decoder.embed(opening).expand(image.shape[0], -1, -1)
        if places is None:
            places = torch.arange(image.shape[1]).expand(image.shape[0], -1)
        positions = torch.cat((torch.zeros_like(places[:, :1]), places + 1), 1)
        return self.decoder.run(torch.cat((first, image), 1), positions)[1]

    def talk(self, tokens: Tensor) -> Tensor:
        """Run texts that have no image, (N, T) with the opening first. Returns: (N, T, width)."""
        return self.decoder.run(self.decoder.embed(tokens), torch.arange(tokens.shape[1]))[0]

    def answers(self, read: list[tuple[Tensor, Tensor]], of: Tensor, tokens: Tensor) -> Tensor:
        """Run texts on images that were read.

        Args:
            read: What ``read`` returned.
            of: (N,) which image each text is about.
            tokens: (N, T) what follows the image.

        Returns:
            Normed outputs (N, T, width); ``decoder.logits`` turns them into scores.
        """
        past = [(k[of], v[of]) for k, v in read]
        start = 1 + self.sizes.patches
        return self.decoder.run(
            self.decoder.embed(tokens), torch.arange(start, start + tokens.shape[1]), past
        )[0]


def split(x: Tensor, heads: int) -> Tensor:
    """(N, T, width) to (N, heads, T, head)."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def merge(x: Tensor) -> Tensor:
    """(N, heads, T, head) to (N, T, width)."""
    return x.transpose(1, 2).flatten(2)


def rotate(x: Tensor, rope: tuple[Tensor, Tensor]) -> Tensor:
    """Rotary position: pairs are the first and the second half of a head."""
    a, b = x.chunk(2, -1)
    return x * rope[0] + torch.cat((-b, a), -1) * rope[1]
