"""The commune a host names: strict, so that what is joined is right."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elunum import geo
from elunum.sources.joining import commune_of
from scripts import measure_joining


@pytest.mark.parametrize(
    ("host", "insee"),
    [
        ("rixheim.fr", "68278"),
        ("www.rixheim.fr", "68278"),
        ("www.ville-rixheim.fr", "68278"),
        ("mairie-rixheim.fr", "68278"),
        ("mairiederixheim.com", "68278"),
        ("mairie-de-rixheim.fr", "68278"),
        ("commune-rixheim.fr", "68278"),
        ("rixheim-mairie.fr", "68278"),
        ("mairie.rixheim.fr", "68278"),
        ("guilherandgranges.fr", "07102"),
        ("stlaurentdelacabrerisse.fr", "11351"),
        ("rixheim68.fr", "68278"),
        ("saint-georges-15.fr", "15188"),
        ("xn--chtel-guyon-x7a.fr", "63103"),
    ],
)
def test_a_name_that_only_one_commune_bears_is_joined(host: str, insee: str) -> None:
    found = commune_of(host)
    assert found == insee, found and geo.load().commune(found)


@pytest.mark.parametrize(
    ("host", "why"),
    [
        ("saint-denis.fr", "four communes bear it"),
        ("buc.fr", "fewer than five letters"),
        ("chateauneuf.fr", "longer names start with it"),
        ("oullins.fr", "a commune of the past bore it, and longer names start with it"),
        ("mayenne.fr", "a département has it too"),
        ("ville-fontaine.fr", "Villefontaine, or one of those called Fontaine"),
        ("saint-denis-99.fr", "no département has the number"),
        ("webmail.rixheim.fr", "another service of the town"),
        ("tourisme-rixheim.fr", "not the town hall"),
        ("rixheim.example", "not an ending that town halls use"),
        ("", "nothing"),
    ],
)
def test_a_doubtful_name_is_left_alone(host: str, why: str) -> None:
    assert commune_of(host) is None, why


@given(st.text(alphabet=st.sampled_from("abcdesint-.0689xn"), max_size=30))
def test_any_host_is_settled_or_left_alone(host: str) -> None:
    found = commune_of(host + ".fr")
    assert found is None or geo.load().commune(found) is not None


def test_on_known_town_halls_at_most_one_joining_in_a_thousand_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    assert measure_joining.main() == 0
    right, wrong, unmatched = map(int, re.findall(r"\d+(?=[,:])", capsys.readouterr().out.splitlines()[-1]))
    assert right > 15_000
    assert wrong <= right // 1000
    assert unmatched < 6_000
