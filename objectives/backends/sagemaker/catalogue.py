"""What Amazon says that Nova has: categories of training data with their usual proportions, and public benchmarks.

These are tables from its documentation, and not the truth: a study file replaces or extends them. Sources: Amazon
Nova 2 user guide, "nova-forge-sft-datamix-smtj" (categories) and
"customize-fine-tune-evaluate-available-tasks" (benchmarks).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

REGIONS = ("us-east-1", "us-west-2")
"""Where Nova is fine-tuned (Amazon Nova 2 user guide, "nova-forge-region-availability")."""

CATEGORIES: Mapping[str, float] = {
    "agents": 1,
    "baseline": 10,
    "chat": 0.5,
    "code": 10,
    "factuality": 0.1,
    "identity": 1,
    "instruction-following": 13,
    "long-context": 1,
    "math": 2,
    "planning": 10,
    "rag": 1,
    "rai": 1,
    "stem": 0.5,
    "translation": 0.1,
    "reasoning-chat": 0.5,
    "reasoning-code": 0.5,
    "reasoning-factuality": 0.5,
    "reasoning-instruction-following": 45,
    "reasoning-math": 0.5,
    "reasoning-planning": 0.5,
    "reasoning-rag": 0.4,
    "reasoning-rai": 0.5,
    "reasoning-stem": 0.4,
}
"""Of Nova 2 text (catalogue `sft_1p5_text_chat`), in per cent of Nova's side."""

CUSTOMER_PERCENT = 50.0
"""What the team's own data has where nobody says otherwise."""

CONTEXT = 32_768
"""Tokens of a training row that are read where nothing else is asked for (`max_context_length`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """How an evaluation job is asked for a public benchmark.

    Attributes:
        strategy: how the model is asked, such as `zs_cot`.
        metric: what the service calls the figure.
    """

    strategy: str
    metric: str


BENCHMARKS: Mapping[str, Benchmark] = {
    "mmlu": Benchmark(strategy="zs_cot", metric="accuracy"),
    "mmlu_pro": Benchmark(strategy="zs_cot", metric="accuracy"),
    "bbh": Benchmark(strategy="fs_cot", metric="accuracy"),
    "gpqa": Benchmark(strategy="zs_cot", metric="accuracy"),
    "math": Benchmark(strategy="zs_cot", metric="exact_match"),
    "ifeval": Benchmark(strategy="zs", metric="accuracy"),
    "strong_reject": Benchmark(strategy="zs", metric="deflection"),
    "humaneval": Benchmark(strategy="zs", metric="pass@1"),
}
"""Public benchmarks of Nova, by the name of their task."""
