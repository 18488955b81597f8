"""What can be found out about a model on the Hugging Face hub without loading it."""

from __future__ import annotations

import os
from pathlib import Path

ANSWER_S = 10.0
"""How long the hub may take to answer."""


def cached_tokenizer(name: str) -> Path | None:
    """The folder in the local cache that holds the tokenizer of a model; None if none does. The hub is not asked.

    Args:
        name: such as `organisation/model`.
    """
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(name, "tokenizer_config.json")
    except HFValidationError:
        return None
    return Path(found).parent if isinstance(found, str) else None


def unavailable(name: str) -> str | None:
    """Why a model of that name cannot be had; None if it lies in the local cache or the hub has it.

    The hub is asked once, for the head of one small file: a loader would ask again and again for each of many.

    Args:
        name: such as `organisation/model`.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_url, try_to_load_from_cache
    from huggingface_hub.constants import ENDPOINT
    from huggingface_hub.errors import HFValidationError

    try:
        if isinstance(try_to_load_from_cache(name, "config.json"), str):
            return None
        if os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}:
            return "HF_HUB_OFFLINE forbids asking the hub"
        get_hf_file_metadata(hf_hub_url(name, "config.json"), timeout=ANSWER_S)
    except HFValidationError:
        return "it cannot be the name of a model on the hub"
    except Exception as error:  # the hub's client lets its HTTP library's errors through, which has changed before
        return f"{ENDPOINT} does not give it: {_reason(error)}"
    return None


def _reason(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:2]) or type(error).__name__
