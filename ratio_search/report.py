"""The trials of a study and its recommendation in tables: for people as rich text, for machines as plain data."""

from __future__ import annotations

import csv
import io
from typing import Any

from rich.table import Table
from rich.text import Text

from objectives.base import Job
from objectives.metrics import Goal
from objectives.mixture import Mixture
from ratio_search.hyperparameters import told
from ratio_search.keep import left
from ratio_search.mix import Mix
from ratio_search.recipe import Recipe, rivals
from ratio_search.recommendation import CREDIBLE
from ratio_search.study import Study

RECOMMENDED = "recommended"


def mix_table(mix: Mix) -> Table:
    """Asked and realised shares of a mix, in rows and tokens."""
    table = Table(title=f"{mix.recipe.study}: {mix.order.format} rows", title_justify="left")
    for column in ("domain", "share", "rows", "of rows", "tokens", "of tokens", "epochs"):
        table.add_column(column, justify="left" if column == "domain" else "right")
    for name, domain in mix.to_json()["domains"].items():
        table.add_row(
            name,
            f"{domain['share']:.4f}",
            f"{domain['rows']:,}",
            f"{domain['share_of_rows']:.4f}",
            f"{domain['tokens']:,}",
            f"{domain['share_of_tokens']:.4f}",
            f"{domain['epochs']:.2f}",
        )
    return table


def comparison(study: Study, recipe: Recipe) -> Table:
    """The recommended mixture beside the untuned baseline and the anchors, metric by metric.

    Of the recommended one it shows what is expected, of the others what was measured. The last rows hold the balanced
    score, the broken guards, the shares and what else was searched.
    """
    others = rivals(study)
    values = {
        **{name: {m.name: record.values[m.name] for m in study.spec.metrics} for name, record in others.items()},
        RECOMMENDED: {name: expected.value for name, expected in recipe.expected.items()},
    }
    mixtures = {**{name: record.job.mixture for name, record in others.items()}, RECOMMENDED: recipe.mixture}
    scorer = study.scorer()
    assert scorer is not None
    scores = {name: scorer.score(found) for name, found in values.items()}
    chosen = f"{recipe.trial} of" if recipe.tried else "a new mixture after"
    table = Table(title=f"{study.spec.name}: {chosen} {study.complete} trials", title_justify="left")
    table.add_column("")
    for name in values:
        table.add_column(name, justify="right", style="bold" if name == RECOMMENDED else None)
    for metric in study.spec.metrics:
        arrow = "up" if metric.goal is Goal.MAXIMIZE else "down"
        best = (max if metric.goal is Goal.MAXIMIZE else min)(found[metric.name] for found in values.values())
        cells = [_marked(found[metric.name], found[metric.name] == best) for found in values.values()]
        table.add_row(f"{metric.name} ({arrow})", *cells)
    table.add_section()
    table.add_row("balanced score", *(f"{score.balanced:+.4f}" for score in scores.values()))
    if any(metric.guard is not None for metric in study.spec.metrics):
        table.add_row("guards broken", *(str(len(score.violations) or "none") for score in scores.values()))
    if any(metric.target is not None for metric in study.spec.metrics):
        table.add_row("targets missed", *(str(len(score.missed) or "none") for score in scores.values()))
    table.add_section()
    for domain in recipe.shares:
        shares = ("" if mixture is None else f"{mixture[domain]:.3f}" for mixture in mixtures.values())
        table.add_row(f"share of {domain}", *shares)
    for name, value in recipe.hyperparameters.items():
        table.add_row(name, *(_value(record.job, name) for record in others.values()), told(value))
    return table


def expectations(recipe: Recipe) -> Table:
    """What a model expects of the recommended mixture, with how sure it is, beside what its trial measured."""
    guarded = any(expected.limit is not None for expected in recipe.expected.values())
    aimed = any(expected.target is not None for expected in recipe.expected.values())
    table = Table(title=f"expected of {RECOMMENDED}", title_justify="left")
    table.add_column("")
    columns = [*(["guard", "holds"] if guarded else []), *(["target", "is reached"] if aimed else [])]
    for column in ("value", f"{CREDIBLE:.0%} between", *columns):
        table.add_column(column, justify="right")
    if recipe.tried:
        table.add_column(f"{recipe.trial} measured", justify="right")
    for name, expected in recipe.expected.items():
        cells = [f"{expected.value:.4f}"]
        cells.append("" if expected.interval is None else "{:.4f} and {:.4f}".format(*expected.interval))
        if guarded:
            cells.append("" if expected.limit is None else f"{expected.limit:.4f}")
            cells.append("" if expected.holds is None else f"{expected.holds:.0%}")
        if aimed:
            cells.append("" if expected.target is None else f"{expected.target:.4f}")
            cells.append("" if expected.reaches is None else f"{expected.reaches:.0%}")
        if expected.measured is not None:
            error = "" if expected.stderr is None else f" +- {expected.stderr:.4f}"
            cells.append(f"{expected.measured:.4f}{error}")
        table.add_row(name, *cells)
    return table


def alternatives(recipe: Recipe) -> list[str]:
    """A line for each mixture that may be as good as the recommended one."""
    return [
        f"{other['trial']} may be as good ({other['better']:.0%}): {Mixture.of(other['shares'])}"
        for other in recipe.alternatives
    ]


def trial_rows(study: Study) -> list[dict[str, Any]]:
    """Every trial with everything known of it, one flat row each; the same columns in all rows."""
    scores = {record.number: score for record, score in study.ranking()}
    rows = []
    for record in study.records():
        measured, score = record.measurement, scores.get(record.number)
        row: dict[str, Any] = {
            "trial": record.job.id,
            "origin": record.origin,
            "basis": " ".join(map(str, record.basis)),
            "expected_gain": record.gain,
            "state": record.state.value,
            "attempt": record.job.attempt,
            "started": None if record.started is None else record.started.isoformat(timespec="seconds"),
            "seconds": None if record.duration is None else record.duration.total_seconds(),
            "score": None if score is None else score.balanced,
            "feasible": None if score is None else score.feasible,
        }
        row |= {f"share/{name}": share for name, share in (record.job.mixture or {}).items()}
        row |= {f"param/{name}": value for name, value in record.job.hyperparameters.items()}
        row |= {"seed/data": record.job.seeds.data, "seed/training": record.job.seeds.training}
        if measured is not None:
            row |= {f"realised/{name}": share for name, share in (measured.realised or {}).items()}
            row |= {f"rows/{name}": rows_ for name, rows_ in measured.rows.items()}
            for name, estimate in measured.metrics.items():
                row |= {
                    name: estimate.value,
                    f"{name}/stderr": estimate.stderr,
                    f"{name}/rows": estimate.rows,
                }
        row |= {f"cost/{name}": amount for name, amount in record.cost.items()}
        if score is not None:
            row |= {f"{name}/gain": gain for name, gain in score.gains.items()}
            row |= {f"{name}/violation": excess for name, excess in score.violations.items()}
            row |= {f"{name}/missed": far for name, far in score.missed.items()}
        row |= {f"artefact/{name}": place for name, place in left(study, record).items()}
        if record.failure is not None:
            row |= {"failure": record.failure.kind.value, "message": record.failure.message}
        rows.append(row)
    columns = list(dict.fromkeys(column for row in rows for column in row))
    return [{column: row.get(column) for column in columns} for row in rows]


def trials_csv(study: Study) -> str:
    """The rows of `trial_rows` as CSV; what is not known is empty."""
    rows = trial_rows(study)
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]) if rows else ["trial"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def trials_table(study: Study) -> Table:
    """The trials with their shares, judged metrics and scores, best first, then those without a score."""
    names = [domain.name for domain in study.spec.mixed]
    searched = list(dict.fromkeys(name for record in study.records() for name in record.job.hyperparameters))
    table = Table(title=f"{study.spec.name}: trials", title_justify="left")
    for column in ("trial", "origin", "state", "score", *names, *searched, *(m.name for m in study.spec.metrics)):
        table.add_column(column, justify="left" if column in ("trial", "origin", "state") else "right")
    ranked = study.ranking()
    scores = {record.number: score for record, score in ranked}
    for record in [*(r for r, _ in ranked), *(r for r in study.records() if r.number not in scores)]:
        score = scores.get(record.number)
        table.add_row(
            record.job.id,
            record.origin,
            record.state.value,
            "" if score is None else f"{score.balanced:+.4f}",
            *(f"{share:.3f}" for share in (record.job.mixture or {}).values()),
            *(_value(record.job, name) for name in searched),
            *(f"{record.values[m.name]:.4f}" if m.name in record.values else "" for m in study.spec.metrics),
        )
    return table


def _value(job: Job, name: str) -> str:
    """The value of a hyperparameter; empty where it was not searched yet."""
    return told(job.hyperparameters[name]) if name in job.hyperparameters else ""


def _marked(value: float, best: bool) -> Text:
    return Text(f"{value:.4f}", style="green" if best else "")
