"""A flat mixture over the team's domains and Nova's categories, as the service is told it, and back."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator
from hypothesis import given, settings
from hypothesis import strategies as st

from objectives.backends.sagemaker.catalogue import CATEGORIES
from objectives.backends.sagemaker.percentages import WHOLE, Percentages
from objectives.domain import Domain
from objectives.errors import MixtureError
from objectives.mixture import Mixture

RESOLUTION = 1 / WHOLE
SDK_VALUE = re.compile(r"""[A-Za-z0-9/_.:,\-'"\[\]\\\s]*""")
"""Characters that the service's own SDK lets a hyperparameter's value have."""


def team(name: str) -> Domain:
    return Domain(name=name, train=(Path(f"{name}.jsonl"),))


def nova(name: str, **categories: float) -> Domain:
    return Domain(name=name, categories={key.replace("_", "-"): weight for key, weight in categories.items()})


VOC, SUPPORT, GENERAL = team("voc"), team("support"), Domain(name="general", benchmarks=("mmlu",))
CODE, REASONING = nova("code", code=1), nova("reasoning", reasoning_instruction_following=45, reasoning_math=1)
STUDY = (VOC, SUPPORT, CODE, REASONING, GENERAL)


@st.composite
def studies(draw: st.DrawFn) -> tuple[tuple[Domain, ...], Mixture]:
    """Domains of the team's and of Nova's, in any order, with categories nobody knows too, and a mixture of them."""
    own = [team(f"own-{number}") for number in range(draw(st.integers(1, 4)))]
    names = draw(st.lists(st.sampled_from([*CATEGORIES, "brand-new", "another"]), max_size=25, unique=True))
    weight = st.floats(1e-3, 100)
    cuts = sorted(draw(st.sets(st.integers(1, max(1, len(names) - 1)), max_size=5))) if len(names) > 1 else []
    # A domain may have the name of a category, also of one that it does not have.
    groups = [names[start:end] for start, end in zip([0, *cuts], [*cuts, len(names)], strict=True)]
    platform = [Domain(name=group[0], categories={name: draw(weight) for name in group}) for group in groups if group]
    domains = draw(st.permutations([*own, *platform]))
    share = st.sampled_from([0.0, 0.0, 1e-9, 0.5e-3, 1.0]) | st.floats(0, 1)
    weights = {domain.name: draw(share) for domain in domains}
    if not sum(weights.values()) > 1e-12:
        weights[draw(st.sampled_from(sorted(weights)))] = 1.0
    return (*domains, GENERAL), Mixture.from_weights(weights)


class TestWhatTheServiceIsTold:
    @given(studies())
    @settings(deadline=None)
    def test_percentages_are_exact_fixed_point_decimals(self, study: tuple[Sequence[Domain], Mixture]) -> None:
        domains, mixture = study
        told = Percentages.of(mixture, domains).hyperparameters(CATEGORIES)
        named = [category for domain in domains for category in domain.categories]
        if not named:
            assert told == {}
            return
        assert all(re.fullmatch(r"\d{1,3}\.\d", value) for value in told.values())
        customer = Decimal(told["customer_data_percent"])
        assert 0 <= customer <= 100
        share = math.fsum(mixture[domain.name] for domain in domains if domain.train)
        assert abs(float(customer) / 100 - share) <= RESOLUTION
        rest = {key: Decimal(value) for key, value in told.items() if key != "customer_data_percent"}
        if customer == 100:
            assert rest == {}
        else:
            assert rest.keys() == {f"nova_{name}_percent" for name in {*CATEGORIES, *named}}
            assert sum(rest.values()) == 100
            assert all(rest[f"nova_{name}_percent"] == 0 for name in CATEGORIES if name not in named)

    @given(studies())
    @settings(deadline=None)
    def test_botocore_and_the_sdk_take_them(self, study: tuple[Sequence[Domain], Mixture]) -> None:
        domains, mixture = study
        told = Percentages.of(mixture, domains).hyperparameters(CATEGORIES)
        assert all(SDK_VALUE.fullmatch(value) for value in told.values())
        assert _complaints({"HyperParameters": told}) == ""

    def test_the_validator_that_they_are_shown_to_refuses_what_is_no_text(self) -> None:
        assert "HyperParameters.customer_data_percent" in _complaints({"HyperParameters": {"customer_data_percent": 5}})

    def test_all_categories_are_told_and_hyphens_stay(self) -> None:
        mixture = Mixture.of({"voc": 0.5, "support": 0.25, "code": 0.125, "reasoning": 0.125})
        told = Percentages.of(mixture, STUDY).hyperparameters(CATEGORIES)
        assert len(told) == 1 + 23
        assert told["customer_data_percent"] == "75.0"
        assert told["nova_code_percent"] == "50.0"
        assert told["nova_reasoning-instruction-following_percent"] == "48.9"
        assert told["nova_reasoning-math_percent"] == "1.1"
        assert told["nova_rai_percent"] == "0.0"

    def test_remainders_are_shared_among_all_categories_and_not_in_each_domain(self) -> None:
        domains = (VOC, nova("a", a1=1, a2=1, a3=1), nova("b", b1=1, b2=1, b3=1))
        found = Percentages.of(Mixture.of({"voc": 0.4, "a": 0.3, "b": 0.3}), domains)
        assert dict(found.categories) == {"a1": 167, "a2": 167, "a3": 167, "b1": 167, "b2": 166, "b3": 166}

    def test_a_category_that_is_not_known_is_told_as_any_other(self) -> None:
        domains = (VOC, nova("new", brand_new=1))
        told = Percentages.of(Mixture.of({"voc": 0.9, "new": 0.1}), domains).hyperparameters(CATEGORIES)
        assert told["nova_brand-new_percent"] == "100.0" and len(told) == 1 + 24
        assert Percentages.of(Mixture.of({"voc": 0.9, "new": 0.1}), domains).hyperparameters(()) == {
            "customer_data_percent": "90.0",
            "nova_brand-new_percent": "100.0",
        }

    def test_a_domain_and_a_category_of_one_name_are_two_things(self) -> None:
        domains = (team("code"), nova("theirs", code=1, math=3))
        found = Percentages.of(Mixture.of({"code": 0.25, "theirs": 0.75}), domains)
        assert found.customer == 0.25 and dict(found.categories) == {"code": 250, "math": 750}
        assert found.realised(found.own) == Mixture.of({"code": 0.25, "theirs": 0.75})


class TestTheEdges:
    def test_the_customer_has_everything(self) -> None:
        mixture = Mixture.of({"voc": 0.25, "support": 0.75, "code": 0.0, "reasoning": 0.0})
        found = Percentages.of(mixture, STUDY)
        assert found.hyperparameters(CATEGORIES) == {"customer_data_percent": "100.0"}
        assert found.customer == 1.0 and set(dict(found.categories).values()) == {0}
        assert found.realised(found.own) == mixture

    def test_the_customer_has_nothing_and_its_file_is_made_of_all_domains_alike(self) -> None:
        mixture = Mixture.of({"voc": 0.0, "support": 0.0, "code": 0.5, "reasoning": 0.5})
        found = Percentages.of(mixture, STUDY)
        assert found.customer == 0.0 and found.hyperparameters(CATEGORIES)["customer_data_percent"] == "0.0"
        assert found.own == Mixture.of({"voc": 0.5, "support": 0.5})
        assert found.realised(Mixture.of({"voc": 0.9, "support": 0.1})) == mixture

    def test_a_share_below_the_resolution_is_none_and_that_is_what_was_realised(self) -> None:
        tiny = Percentages.of(Mixture.of({"voc": 4e-4, "support": 0.0, "code": 1 - 4e-4, "reasoning": 0.0}), STUDY)
        assert tiny.customer_tenths == 0 and tiny.own == Mixture.of({"voc": 1.0, "support": 0.0})
        assert tiny.realised(tiny.own) == Mixture.of({"voc": 0.0, "support": 0.0, "code": 1.0, "reasoning": 0.0})
        most = Percentages.of(Mixture.of({"voc": 1 - 4e-4, "support": 0.0, "code": 4e-4, "reasoning": 0.0}), STUDY)
        assert most.hyperparameters(CATEGORIES) == {"customer_data_percent": "100.0"}
        assert most.realised(most.own)["code"] == 0.0

    @pytest.mark.parametrize(("rows", "taken"), [(0, 0), (1, 1), (1000, 333), (3200, 1066), (10**6, 333_000)])
    def test_rows_are_taken_as_the_percentage_says(self, rows: int, taken: int) -> None:
        mixture = Mixture.of({"voc": 1 / 3, "support": 0.0, "code": 2 / 3, "reasoning": 0.0})
        assert Percentages.of(mixture, STUDY).taken(rows) == taken

    def test_a_study_of_the_teams_own_data_tells_nothing(self) -> None:
        mixture = Mixture.of({"voc": 0.3, "support": 0.7})
        found = Percentages.of(mixture, (VOC, SUPPORT, GENERAL))
        assert found.hyperparameters(CATEGORIES) == {} and found.customer == 1.0
        assert found.own == mixture and found.realised(Mixture.of({"voc": 0.5, "support": 0.5}))["voc"] == 0.5


class TestWhatWasRealised:
    @given(studies())
    @settings(deadline=None)
    def test_the_way_back_is_within_the_resolution(self, study: tuple[Sequence[Domain], Mixture]) -> None:
        domains, mixture = study
        found = Percentages.of(mixture, domains)
        realised = found.realised(found.own)
        assert realised.names == mixture.names and math.fsum(realised.shares) == 1.0
        sizes = {domain.name: max(1, len(domain.categories)) for domain in domains}
        for name, share in mixture.items():
            # A tenth of the whole, and a tenth of Nova's side for each category.
            assert abs(realised[name] - share) <= RESOLUTION * (1 + sizes[name]) + 1e-9
        again = Percentages.of(realised, domains)
        assert again.customer_tenths == found.customer_tenths
        if set(sizes.values()) == {1}:  # else a domain's categories share out anew what rounding had moved
            assert again.categories == found.categories
        assert again.realised(again.own).distance(realised) <= RESOLUTION * len(found.categories) + 1e-9

    def test_it_is_made_of_what_the_blend_holds(self) -> None:
        mixture = Mixture.of({"code": 0.25, "voc": 0.5, "reasoning": 0.0, "support": 0.25})
        found = Percentages.of(mixture, STUDY)
        realised = found.realised(Mixture.of({"support": 0.4, "voc": 0.6}))
        assert dict(realised) == pytest.approx({"code": 0.25, "voc": 0.45, "reasoning": 0.0, "support": 0.3})


@pytest.mark.parametrize(
    ("shares", "domains", "message"),
    [
        (
            {"voc": 1.0},
            STUDY,
            "expected a mixture over the mixed domains voc, support, code, reasoning, found one over v",
        ),
        ({"code": 0.5, "reasoning": 0.5}, (CODE, REASONING), "none of the domains code, reasoning has train files"),
    ],
)
def test_what_cannot_be_told_is_refused(shares: dict[str, float], domains: Sequence[Domain], message: str) -> None:
    with pytest.raises(MixtureError, match=message):
        Percentages.of(Mixture.of(shares), domains)


@functools.cache
def _model() -> Any:
    return botocore.session.Session().get_service_model("sagemaker").operation_model("CreateTrainingJob").input_shape


def _complaints(part: dict[str, Any]) -> str:
    """What botocore's own model of the service has against a request with this part."""
    request = {
        "TrainingJobName": "a",
        "RoleArn": "arn:aws:iam::123456789012:role/nova",
        "OutputDataConfig": {"S3OutputPath": "s3://bucket/jobs"},
        **part,
    }
    report = ParamValidator().validate(request, _model())
    return str(report.generate_report())
