"""A tiny Llama of the project's own, run by vLLM's interpreter: `python tiny_llama.py FOLDER`.

Two layers with random weights, so small that they do not change what the head reads, and a head that maps each token of one
sentence to the next: real Llama code, real sampling, and an answer that is known. The sentence starts again after its end when
the end is ignored; asked to recite, the model goes on for as long as it may.
"""

import sys
from pathlib import Path

import torch  # type: ignore[import-not-found,unused-ignore]
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers  # type: ignore[import-not-found,unused-ignore]
from transformers import (  # type: ignore[import-not-found,unused-ignore]
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

SENTENCE = ["The", " manual", " says", " so", " [S1]", "."]
ENDLESS = [" on", " and"]
START, RECITE, END = "<|assistant|>", "<|recite|>", "</s>"
SPECIAL = ["<s>", END, "<pad>", "<|system|>", "<|user|>", START, RECITE]
FOLLOWS = (
    *zip([START, *SENTENCE, END], [*SENTENCE, END, SENTENCE[0]], strict=True),
    *zip([RECITE, *ENDLESS], [*ENDLESS, ENDLESS[0]], strict=True),
)
"""What the head reads from a token."""
TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}</s>{% endfor %}"
    "{% if add_generation_prompt %}"
    "{{ '<|recite|>' if 'Recite' in messages[-1]['content'] else '<|assistant|>' }}{% endif %}"
)
HIDDEN = 128
"""Two heads of 64: vLLM's CPU attention knows no smaller ones."""
CONTEXT = 4096


def tokenizer() -> "PreTrainedTokenizerFast":
    """Bytes and a few merges, and the words of the sentence as tokens of their own."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(
        ["the quick brown fox jumps over the lazy dog"] * 4,
        trainers.BpeTrainer(vocab_size=300, special_tokens=SPECIAL, initial_alphabet=alphabet),
    )
    made.add_tokens([*SENTENCE, *ENDLESS])
    fast = PreTrainedTokenizerFast(tokenizer_object=made, bos_token="<s>", eos_token=END, pad_token="<pad>")
    fast.chat_template = TEMPLATE
    return fast


def model(words: "PreTrainedTokenizerFast") -> "LlamaForCausalLM":
    """Weights from a fixed seed."""
    torch.manual_seed(7)
    config = LlamaConfig(
        vocab_size=len(words),
        hidden_size=HIDDEN,
        intermediate_size=2 * HIDDEN,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=CONTEXT,
        bos_token_id=words.bos_token_id,
        eos_token_id=words.eos_token_id,
        pad_token_id=words.pad_token_id,
        tie_word_embeddings=False,
    )
    made = LlamaForCausalLM(config).to(torch.float32)
    with torch.no_grad():
        for layer in made.model.layers:
            layer.self_attn.o_proj.weight.mul_(0.01)
            layer.mlp.down_proj.weight.mul_(0.01)
        embeddings = torch.nn.functional.normalize(torch.randn(len(words), HIDDEN), dim=1)
        made.model.embed_tokens.weight.copy_(embeddings)
        made.lm_head.weight.zero_()
        for token, following in FOLLOWS:
            weight = made.lm_head.weight[words.convert_tokens_to_ids(following)]
            weight += 4 * embeddings[words.convert_tokens_to_ids(token)]
    return made


def main(folder: Path) -> None:
    """Writes a folder that vLLM serves."""
    words = tokenizer()
    words.save_pretrained(folder)
    model(words).save_pretrained(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
