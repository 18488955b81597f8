"""A plan in tables and lines, for people."""

from __future__ import annotations

from collections.abc import Iterator

from rich.table import Table

from objectives.data import Action, Finding, Found
from objectives.domain import Domain
from ratio_search.plan import Plan


def plan_table(plan: Plan) -> Table:
    """What every domain has, and what runs would take of it."""
    table = Table(title=f"{plan.spec.name}: ready", title_justify="left")
    for column in (
        "domain",
        "train rows",
        "tokens",
        "test rows",
        "final rows",
        "share from",
        "to",
        "epochs from",
        "to",
    ):
        table.add_column(column, justify="left" if column == "domain" else "right")
    for name, supply in plan.supplies.items():
        tokens = f"{supply.tokens['train']:,}" if supply.tokens and "train" in supply.tokens else ""
        rows = {
            split: f"{supply.rows[split]:,}" if split in supply.rows else "" for split in ("train", "test", "final")
        }
        shares = ("", "") if supply.shares is None else (f"{share:.4g}" for share in supply.shares)
        epochs = ("", "") if supply.epochs is None else (f"{passes:.2f}" for passes in supply.epochs)
        table.add_row(name, rows["train"], tokens, rows["test"], rows["final"], *shares, *epochs)
    return table


def plan_lines(plan: Plan) -> list[str]:
    """What else there is to say of a plan: a platform's part in it, findings with their first rows, anchors, trials."""
    lines = [line for domain in plan.spec.domains for line in _platforms(domain)]
    lines += [] if plan.counted is None else [f"tokens: {plan.counted}"]
    for found in plan.found:
        lines.append(finding_text(found))
        lines += [f"  {example}" for example in found.examples]
        if found.count > len(found.examples) and found.finding is not Finding.IMBALANCE:
            lines.append(f"  and {found.count - len(found.examples):,} more; --json names all")
    if plan.spec.data.near is None and any(supply.rows for supply in plan.supplies.values()):
        lines.append("near-duplicates of test rows were not looked for; data.audit.near: 0.8 in the study file does")
    lines += plan.remarks
    for anchor in plan.anchors:
        lines.append(f"anchor {anchor.name}: {anchor.mixture}")
    lines += [f"searched too: {name}, {of}" for name, of in plan.spec.hyperparameters.items()]
    if plan.forecast is not None:
        lines += [f"cost, {line}" for line in plan.forecast.lines]
    lines.append(f"{plan.spec.search.trials} trials, {plan.spec.held_down or f'{plan.spec.parallel} at a time'}")
    return lines


def _platforms(domain: Domain) -> Iterator[str]:
    """What of a domain is the platform's affair, a line each."""
    if domain.categories:
        whole = sum(domain.categories.values())
        parts = ", ".join(f"{name} {weight / whole:.1%}" for name, weight in domain.categories.items())
        yield f"{domain.name}: the platform's own data, {parts}"
    if domain.benchmarks:
        yield f"{domain.name}: public benchmarks that the platform runs, {', '.join(domain.benchmarks)}"


def finding_text(found: Found) -> str:
    """A finding in one line."""
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in found.kinds.items())
    what = f"{found.finding.replace('_', ' ')}: {found.count:,} in {found.key}{f' ({kinds})' if kinds else ''}"
    return f"left out, {what}" if found.action is Action.DROP else f"warning, {what}"
