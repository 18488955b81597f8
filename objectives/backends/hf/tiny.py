"""The `tiny` base model: a small Llama, made on this machine once, and from then on a model like any other.

It has learned the form of instruction rows, and little else, from rows that ship with the package and that
no study uses. Fine-tuning needs that: in a hundred steps, an adapter on a model that has only seen plain text
learns neither the form nor the task.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.resources
import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from objectives.cache import cache_folder
from objectives.data import ORDER, Blend, Row, read_rows
from objectives.errors import OptionsError
from objectives.mixture import Mixture

TINY = "tiny"
"""What a study file calls this model."""

_LOG = logging.getLogger(__name__)

_CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message.role == 'user' %}<s>{{ message.content }}<sep>"
    "{% else %}{{ message.content }}</s>{% endif %}"
    "{% endfor %}"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TinyRecipe:
    """How the model is made.

    Attributes:
        vocabulary: byte-level BPE tokens, special ones included.
        layers, width, heads, inner: size of the Llama; `inner` is the width inside its feed-forward part.
        context: most tokens of a row.
        steps, batch_size, learning_rate, warmup_steps: its training, on all tokens, prompts included.
        max_length: tokens of a training row, longer ones are cut.
        seed: of its weights and of the rows' order.
    """

    vocabulary: int = 1024
    layers: int = 2
    width: int = 64
    heads: int = 4
    inner: int = 176
    context: int = 512
    steps: int = 700
    batch_size: int = 16
    learning_rate: float = 4e-3
    warmup_steps: int = 20
    max_length: int = 96
    seed: int = 0


def base_rows() -> dict[str, tuple[Row, ...]]:
    """The rows that ship with the package, by domain."""
    folder = importlib.resources.files("objectives.backends.hf") / "base"
    with importlib.resources.as_file(folder) as here:
        return {path.stem: read_rows([path]) for path in sorted(here.glob("*.jsonl"))}


def digest(rows: Mapping[str, Sequence[Row]], recipe: TinyRecipe) -> str:
    """Names the model by all that it follows from: rows, their order, recipe and the libraries that make it."""
    versions = [importlib.metadata.version(name) for name in ("tokenizers", "torch", "transformers")]
    made = hashlib.blake2b(repr((asdict(recipe), _CHAT_TEMPLATE, ORDER, versions)).encode(), digest_size=8)
    for name, domain in rows.items():
        made.update(repr((name, [(row.instruction, row.output) for row in domain])).encode())
    return made.hexdigest()


def tiny_model(
    rows: Mapping[str, Sequence[Row]] | None = None,
    recipe: TinyRecipe = TinyRecipe(),
    cache: Path | None = None,
) -> Path:
    """The folder of the tiny model; makes it first when this machine has none yet, in about 20 seconds.

    Of several processes that ask at once one makes it and the others wait. One that dies half-way leaves
    nothing behind that could be mistaken for the model.

    Args:
        rows: what it learns from, by domain; None for the package's own.
        recipe: how it is made.
        cache: folder of made models; None for the user's.

    Raises:
        OptionsError: the cache folder cannot be written.
    """
    from filelock import FileLock

    rows = base_rows() if rows is None else rows
    cache = cache_folder() if cache is None else cache
    folder = cache / f"tiny-{digest(rows, recipe)}"
    if folder.exists():
        return folder
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(cache / f"{folder.name}.lock"):
            if not folder.exists():
                _LOG.info("making the tiny base model in %s, once", folder)
                partial = cache / f"{folder.name}.partial"
                shutil.rmtree(partial, ignore_errors=True)
                _make(rows, recipe, partial)
                partial.rename(folder)
    except OSError as error:
        raise OptionsError(
            f"the tiny base model cannot be kept in {cache} ({error}); set RATIO_SEARCH_CACHE to a folder "
            "that can be written to"
        ) from error
    return folder


def _make(rows: Mapping[str, Sequence[Row]], recipe: TinyRecipe, folder: Path) -> None:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from objectives.backends.hf.encoding import encode
    from objectives.backends.hf.learner import Learner, silence
    from objectives.backends.hf.template import Template
    from objectives.backends.hf.training import Schedule, Training

    silence()
    tokenizer = _tokenizer(rows, recipe)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=recipe.width,
        intermediate_size=recipe.inner,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        max_position_embeddings=recipe.context,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        learner = Learner(LlamaForCausalLM(config), tokenizer, device=torch.device("cpu"))
    template = Template.of(tokenizer)
    data = [encode(domain, tokenizer, template, recipe.max_length) for domain in rows.values()]
    whole = [replace(encoded, prompts=np.ones_like(encoded.prompts)) for encoded in data]
    sizes = {name: len(domain) for name, domain in rows.items()}
    blend = Blend(mixture=Mixture.uniform(rows), sizes=sizes, rows=recipe.steps * recipe.batch_size, seed=recipe.seed)
    index = {name: i for i, name in enumerate(rows)}
    order = np.array([(index[name], row) for name, row in blend.order()], dtype=np.int64)
    schedule = Schedule(
        steps=recipe.steps,
        batch_size=recipe.batch_size,
        micro_batch_size=recipe.batch_size,
        learning_rate=recipe.learning_rate,
        warmup_steps=recipe.warmup_steps,
        weight_decay=0.0,
    )
    training = Training(learner, whole, order, schedule, recipe.seed)
    while not training.done:
        training.advance()
    learner.save(folder)


def _tokenizer(rows: Mapping[str, Sequence[Row]], recipe: TinyRecipe) -> Any:
    from tokenizers import ByteLevelBPETokenizer
    from transformers import PreTrainedTokenizerFast

    made = ByteLevelBPETokenizer()
    texts = (text for domain in rows.values() for row in domain for text in (row.instruction, row.output))
    specials = ["<s>", "</s>", "<sep>", "<pad>"]
    made.train_from_iterator(texts, vocab_size=recipe.vocabulary, special_tokens=specials, show_progress=False)
    return PreTrainedTokenizerFast(
        tokenizer_object=made._tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        sep_token="<sep>",
        pad_token="<pad>",
        model_max_length=recipe.context,
        chat_template=_CHAT_TEMPLATE,
    )
