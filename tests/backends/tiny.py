"""Tiny vision models of Transformers with random weights, built here from their configurations.

Nothing is downloaded. They know nothing, and they are of the same classes, with the same processors
and prompts, as the models that people run. A bias on a few tokens makes them end their sentences.
"""

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    Idefics3ImageProcessorPil,
    Idefics3Processor,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
    SmolVLMConfig,
    SmolVLMForConditionalGeneration,
)

SIDE, PATCH = 56, 14
TURN = (
    "{% for m in messages %}{{ m.role }}:{% for p in m.content %}"
    "{{ '<image>' if p.type == 'image' else p.text }}{% endfor %}<end>\n{% endfor %}"
    "{% if add_generation_prompt %}assistant:{% endif %}"
)
SPECIAL = ("<pad>", "<s>", "<end>", "<image>", "<fake_token_around_image>", "<end_of_utterance>")
# As plain tokens, as in the published vocabularies.
TILES = ("<global-img>", *(f"<row_{r}_col_{c}>" for r in range(1, 7) for c in range(1, 7)))


def tokenizer():
    """Bytes, a few words, and the tokens that the processors ask for."""
    words = [*pre_tokenizers.ByteLevel.alphabet(), "th", "the", '":', "},"]
    vocabulary = {word: i for i, word in enumerate(words)}
    made = Tokenizer(models.BPE(vocabulary, [("t", "h"), ("th", "e"), ('"', ":"), ("}", ",")]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([AddedToken(token, normalized=False) for token in SPECIAL])
    made.add_tokens([AddedToken(token, normalized=False) for token in TILES])
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="<end>",
        chat_template=TURN,
    )


def language(words):
    """A language model of two layers."""
    return LlamaConfig(
        vocab_size=len(words),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=4096,
        pad_token_id=words.pad_token_id,
        bos_token_id=words.bos_token_id,
        eos_token_id=words.eos_token_id,
    )


def llava(dtype=torch.float32):
    """As LLaVA: CLIP, which crops to the middle of a picture, and one tile."""
    words = tokenizer()
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=3,
            num_attention_heads=2,
            image_size=SIDE,
            patch_size=PATCH,
            projection_dim=32,
        ),
        text_config=language(words),
        image_token_id=words.convert_tokens_to_ids("<image>"),
        image_seq_length=(SIDE // PATCH) ** 2,
    )
    images = CLIPImageProcessorPil(
        size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}
    )
    processor = LlavaProcessor(
        image_processor=images,
        tokenizer=words,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        chat_template=TURN,
        num_additional_image_tokens=1,
    )
    return ready(LlavaForConditionalGeneration, config, words, dtype), processor


def idefics3(dtype=torch.float32, kind=Idefics3ForConditionalGeneration, config=Idefics3Config):
    """As Idefics3 and SmolVLM: a picture is cut into tiles, and shown whole beside them."""
    words = tokenizer()
    settings = config(
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": SIDE,
            "patch_size": PATCH,
        },
        text_config=language(words).to_dict(),
        scale_factor=2,
        image_token_id=words.convert_tokens_to_ids("<image>"),
        pad_token_id=words.pad_token_id,
    )
    images = Idefics3ImageProcessorPil(
        size={"longest_edge": 2 * SIDE}, max_image_size={"longest_edge": SIDE}
    )
    processor = Idefics3Processor(
        image_processor=images,
        tokenizer=words,
        image_seq_len=(SIDE // PATCH // 2) ** 2,
        chat_template=TURN,
    )
    return ready(kind, settings, words, dtype), processor


def smolvlm(dtype=torch.float32):
    """SmolVLM's own classes; for pictures its processor does what that of Idefics3 does."""
    return idefics3(dtype, SmolVLMForConditionalGeneration, SmolVLMConfig)


def ready(kind, config, words, dtype):
    """Make a model whose sentences end."""
    model = kind(config)
    # Transformers leaves some of the weights as they are found in memory.
    random = torch.Generator().manual_seed(5)
    for name, weight in model.named_parameters():
        if "norm" not in name:
            torch.nn.init.normal_(weight, std=0.12, generator=random)
    bias = torch.zeros(len(words))
    for text, more in (('"', 10.0), ("}", 5.0), ("]", 5.0), ("a", 5.0), ("the", 5.0)):
        bias[words.convert_tokens_to_ids(text)] = more
    model.lm_head.bias = torch.nn.Parameter(bias)
    model.generation_config.eos_token_id = words.eos_token_id
    model.generation_config.pad_token_id = words.pad_token_id
    return model.to(dtype).eval()
