"""What a study file says of its domains, as values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from objectives.domain import Domain
from objectives.errors import MixtureError
from objectives.mixture import Mixture
from ratio_search.errors import SpecError
from ratio_search.judged import unknown
from ratio_search.study_file import DomainSection


def stated_domain(name: str, section: DomainSection, root: Path, external: bool) -> Domain:
    """A domain of the study file.

    Args:
        name: its key in `domains`.
        section: what stands there.
        root: folder that relative paths refer to.
        external: whether its data may be elsewhere, so that it needs no files.

    Raises:
        SpecError: it cannot be used.
    """
    at = f"domains.{name}"
    elsewhere = external and not (section.train or section.test or section.final)
    if not section.train and not section.test and not elsewhere:
        raise SpecError(f"{at}: expected train files, or test files to watch; found neither")
    if not section.train and section.share is not None and not elsewhere:
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
