"""What a study file says of its domains, as values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from objectives.backends import Backend
from objectives.data import Weigh
from objectives.domain import Domain
from objectives.errors import MixtureError
from objectives.mixture import Mixture
from ratio_search.errors import SpecError
from ratio_search.judged import unknown
from ratio_search.study_file import DomainSection

REST = "rest"
"""What stands for all categories of a platform's own data that no other domain has."""


def stated_domains(sections: Mapping[str, DomainSection], root: Path, backend: Backend) -> tuple[Domain, ...]:
    """The domains of a study file.

    Args:
        sections: `domains`.
        root: folder that relative paths refer to.
        backend: the objective's settings.

    Raises:
        SpecError: one of them cannot be used.
    """
    usual = backend.platform_categories
    owner: dict[str, str] = {}
    for name, section in sections.items():
        at = f"domains.{name}"
        if section.category and usual is None:
            raise SpecError(
                f"{at}.category: objective {backend.kind!r} has no training data of its own; remove it, or state train "
                "files"
            )
        for category in section.category:
            if category in owner:
                raise SpecError(f"{at}.category: {category!r} is a part of domain {owner[category]!r} already")
            owner[category] = name
    return tuple(
        _stated_domain(name, section, root, backend, _categories(name, section, usual or {}, owner))
        for name, section in sections.items()
    )


def _categories(
    name: str, section: DomainSection, usual: Mapping[str, float], owner: Mapping[str, str]
) -> dict[str, float]:
    """A domain's categories of the platform's own data, each with its proportion.

    Args:
        name: the domain's.
        section: what is stated of it.
        usual: the platform's categories, with their usual proportions.
        owner: every category that is named, with its domain.
    """
    at = f"domains.{name}.category"
    if REST in section.category:
        if len(section.category) > 1 or section.category[REST] is not None:
            raise SpecError(
                f"{at}: {REST!r} stands for all categories that no other domain has, in their usual proportions; write "
                "it alone"
            )
        others = {category: weight for category, weight in usual.items() if category not in owner and weight > 0}
        if not others:
            raise SpecError(f"{at}: other domains have every category, so that nothing is left for {REST!r}; remove it")
        return others
    found = {}
    for category, weight in section.category.items():
        if weight is None and usual.get(category) == 0:
            raise SpecError(f"{at}: {category!r} usually has no part in it; state its proportion: {{{category}: 1}}")
        if weight is None and category not in usual:
            raise SpecError(
                f"{at}: {unknown(category, list(usual), 'category that is known here')}; if the platform has it, state "
                f"its proportion: {{{category}: 1}}"
            )
        found[category] = usual[category] if weight is None else weight
    return found


def _stated_domain(
    name: str, section: DomainSection, root: Path, backend: Backend, categories: Mapping[str, float]
) -> Domain:
    """A domain of the study file; see `stated_domains`.

    Args:
        name: its key in `domains`.
        section: what stands there.
        root: folder that relative paths refer to.
        backend: the objective's settings.
        categories: of the platform's own data that it is made of.
    """
    at = f"domains.{name}"
    elsewhere = backend.ELSEWHERE and not (section.train or section.test or section.final)
    _check_benchmarks(at, section, backend)
    if section.train and categories:
        raise SpecError(f"{at}: found train files and a category of the platform's own data; make two domains of it")
    if not section.train and not section.test and not elsewhere and not categories and not section.benchmarks:
        raise SpecError(f"{at}: expected train files, or test files to watch; found neither")
    if not section.train and section.share is not None and not elsewhere and not categories:
        raise SpecError(f"{at}.share: a domain without train files has no share; remove it, or add train files")
    if not section.train and section.max_epochs is not None:
        raise SpecError(
            f"{at}.max_epochs: a domain without train files is never repeated; remove it, or add train files"
        )
    lower, upper = section.share or (0.0, 1.0)
    return Domain(
        name=name,
        train=_paths(root, section.train, f"{at}.train"),
        test=_paths(root, section.test, f"{at}.test"),
        final=_paths(root, section.final, f"{at}.final"),
        lower=lower,
        upper=upper,
        max_epochs=section.max_epochs,
        elsewhere=elsewhere,
        categories=categories,
        benchmarks=section.benchmarks,
    )


def _check_benchmarks(at: str, section: DomainSection, backend: Backend) -> None:
    known = sorted(backend.platform_benchmarks)
    for benchmark in section.benchmarks:
        if not known:
            raise SpecError(f"{at}.benchmarks: objective {backend.kind!r} runs no public benchmarks; remove them")
        if benchmark not in known:
            raise SpecError(f"{at}.benchmarks: {unknown(benchmark, known, 'benchmark that is known here')}")


def check_weighed(domains: Sequence[Domain], weigh_by: Weigh) -> None:
    """Checks that what a share is a share of can be kept where a platform mixes in data of its own.

    Raises:
        SpecError: it cannot.
    """
    theirs = next((domain.name for domain in domains if domain.categories), None)
    if theirs is not None and weigh_by is not Weigh.ROWS:
        raise SpecError(
            f"data.weigh_by: found {weigh_by}, but the platform mixes its own data, as of domain {theirs!r}, by rows; "
            "expected rows, or no domain with category"
        )


def stated_current(shares: Mapping[str, float] | None, mixed: Sequence[str], what: str) -> Mixture | None:
    """The mixture in use today; None when not stated.

    Args:
        shares: as stated; a domain that is left out has 0.
        mixed: names of the domains that have a share.
        what: what to call one of these in errors.

    Raises:
        SpecError: it is no mixture of them.
    """
    if shares is None:
        return None
    for name in shares:
        if name not in mixed:
            raise SpecError(f"current.{name}: {unknown(name, mixed, what)}")
    try:
        return Mixture.of({name: shares.get(name, 0.0) for name in mixed})
    except MixtureError as error:
        raise SpecError(f"current: {error}") from error


def _paths(root: Path, files: Sequence[str], at: str) -> tuple[Path, ...]:
    """The files that are named, and those that a pattern matches, sorted; one that matches none stays as it is."""
    paths: list[Path] = []
    try:
        for file in files:
            stated = Path(file).expanduser()
            where = Path(stated.anchor) if stated.is_absolute() else root
            pattern = str(stated.relative_to(stated.anchor))
            matched = sorted(where.glob(pattern)) if "*" in pattern and not (root / stated).exists() else []
            paths += matched or [root / stated]
        return tuple(paths)
    except RuntimeError as error:
        raise SpecError(f"{at}: found {', '.join(files)}, but '~' leads to no home folder; write it out") from error
