"""What lists hold in place of an address. Every case has the shape of one met in the official lists."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elunum.sources.addresses import Rejected, clean, home, mended
from elunum.urls import canonical


@pytest.mark.parametrize(
    ("cell", "address"),
    [
        # missing, repeated and misspelt schemes
        ("www.bourg-modele.fr", "https://www.bourg-modele.fr/"),
        ("bourg-modele.fr", "https://bourg-modele.fr/"),
        ("http://bourg-modele.fr", "http://bourg-modele.fr/"),
        ("http://http://www.bourg-modele.fr", "http://www.bourg-modele.fr/"),
        ("http://https://bourg-modele.fr/", "https://bourg-modele.fr/"),
        ("htpp://www.bourg-modele.fr", "http://www.bourg-modele.fr/"),
        ("https:/www.bourg-modele.fr", "https://www.bourg-modele.fr/"),
        ("https//www.bourg-modele.fr", "https://www.bourg-modele.fr/"),
        ("http:www.bourg-modele.fr", "http://www.bourg-modele.fr/"),
        ("http:\\\\www.bourg-modele.fr", "http://www.bourg-modele.fr/"),
        # slips of the hand
        ("http://www,saint-modele.fr", "http://www.saint-modele.fr/"),
        ("www.saint-modele..fr", "https://www.saint-modele.fr/"),
        ("wwww.saint-modele.fr", "https://www.saint-modele.fr/"),
        ("ww.saint-modele.fr", "https://www.saint-modele.fr/"),
        ("www .saint-modele.fr", "https://www.saint-modele.fr/"),
        ("  https://www.saint-modele.fr  ", "https://www.saint-modele.fr/"),
        ("https://www.saint-modele.fr.", "https://www.saint-modele.fr/"),
        ("<https://www.saint-modele.fr>", "https://www.saint-modele.fr/"),
        ("« www.saint-modele.fr »", "https://www.saint-modele.fr/"),
        # mixed case, ports, both spellings of an accented host
        ("HTTPS://WWW.Bourg-Modele.FR/", "https://www.bourg-modele.fr/"),
        ("https://bourg-modele.fr:443/", "https://bourg-modele.fr/"),
        ("https://www.modèle-sur-mer.fr", "https://www.xn--modle-sur-mer-ygb.fr/"),
        ("https://www.xn--modle-sur-mer-ygb.fr", "https://www.xn--modle-sur-mer-ygb.fr/"),
        ("https://www.modÃ¨le-sur-mer.fr", "https://www.xn--modle-sur-mer-ygb.fr/"),
        # the path is dropped where the host is the site
        ("https://www.bourg-modele.fr/fr/accueil.html?lang=fr#top", "https://www.bourg-modele.fr/"),
        ("https://bourg-modele.fr/?cn-reloaded=1", "https://bourg-modele.fr/"),
        # and kept where it makes the site
        ("https://www.intramuros.org/bourg-modele", "https://www.intramuros.org/bourg-modele"),
        ("https://www.intramuros.org/bourg-modele/agenda/12", "https://www.intramuros.org/bourg-modele"),
        ("https://lapagelocale.fr/01290-bourg-modele", "https://lapagelocale.fr/01290-bourg-modele"),
        ("https://sites.google.com/site/bourgmodele/home", "https://sites.google.com/site/bourgmodele"),
        ("https://bourgmodele.wixsite.com/mairie/contact", "https://bourgmodele.wixsite.com/mairie"),
        ("https://bourgmodele.wixsite.com", "https://bourgmodele.wixsite.com/"),
        # comments that lists add
        ("www.bourg-modele.fr  # (redirection from bourg-modele.com)", "https://www.bourg-modele.fr/"),
        # ww2 is a server of its own; ww38 is a parking lot
        ("https://ww2.ac-modele.fr", "https://ww2.ac-modele.fr/"),
        # a word of infrastructure is judged as a label, not as a part of a name
        ("https://www.developpement-modele.fr", "https://www.developpement-modele.fr/"),
        ("https://www.devmodele.fr", "https://www.devmodele.fr/"),
        ("https://test.fr", "https://test.fr/"),
    ],
)
def test_an_address_is_recovered(cell: str, address: str) -> None:
    assert clean(cell) == [address]


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("", "empty"),
        ("-", "empty"),
        ("N/A", "empty"),
        ("mairie@bourg-modele.fr", "e-mail address"),
        ("mailto:mairie@bourg-modele.fr", "e-mail address"),
        ("http://mairie@bourg-modele.fr", "e-mail address"),
        ("pas de site", "not an address"),
        ("http://", "not an address"),
        ("bourgmodele", "not an address"),
        ("http://192.168.1.10/", "not a public host"),
        ("http://mairie.local/", "not a public host"),
        ("https://webmail.bourg-modele.fr", "infrastructure host"),
        ("https://vpn.bourg-modele.fr", "infrastructure host"),
        ("https://extranet.modele.gouv.fr", "infrastructure host"),
        ("https://intranet.sous.modele.gouv.fr", "infrastructure host"),
        ("https://preprod.modele.gouv.fr", "infrastructure host"),
        ("https://modele-preprod.sous.gouv.fr", "infrastructure host"),
        ("https://metabase.modele.beta.gouv.fr", "infrastructure host"),
        ("http://smtp.bourg-modele.fr", "infrastructure host"),
        ("https://enqueteur.modele.developpement-durable.gouv.fr", "infrastructure host"),
        ("https://review-fix-12.modele.dev.gouv.fr", "infrastructure host"),
        ("https://ww16.bourg-modele.com", "parked host"),
        ("https://ww38.ville-modele.com", "parked host"),
        ("https://www.facebook.com/bourgmodele", "social network"),
        ("https://fr-fr.facebook.com/bourgmodele", "social network"),
        ("https://www.intramuros.org/", "platform without a page"),
        ("https://sites.google.com", "platform without a page"),
    ],
)
def test_what_is_no_source_is_rejected_with_its_reason(cell: str, reason: str) -> None:
    assert [r.reason if isinstance(r, Rejected) else r for r in clean(cell)] == [reason]


@pytest.mark.parametrize(
    "cell",
    [
        "http://www.un-modele.frhttp://www.deux-modele.fr",
        "http://www.un-modele.fr ; http://www.deux-modele.fr",
        "http://www.un-modele.fr et http://www.deux-modele.fr",
        "http://www.un-modele.fr / http://www.deux-modele.fr",
        "http://www.un-modele.fr, http://www.deux-modele.fr",
        "http://www.un-modele.fr|http://www.deux-modele.fr",
        "http://www.un-modele.fr\nhttp://www.deux-modele.fr",
    ],
)
def test_glued_values_are_told_apart(cell: str) -> None:
    assert clean(cell) == ["http://www.un-modele.fr/", "http://www.deux-modele.fr/"]


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("MÃ©riel-le-ModÃ¨le", "Mériel-le-Modèle"),
        ("L\x92Isle-Modèle", "L’Isle-Modèle"),
        ("CÅ“ur-Modèle", "CÅ“ur-Modèle"),  # already half right: not ours to guess
        ("CÅ“ur", "Cœur"),
        ("Saint-Médard", "Saint-Médard"),
        ("Â", "Â"),
        ("", ""),
    ],
)
def test_mojibake_is_undone_only_when_the_repair_is_exact(text: str, meant: str) -> None:
    assert mended(text) == meant


@given(st.text(max_size=120))
def test_any_text_gives_canonical_addresses_or_reasons(text: str) -> None:
    for found in clean(text):
        if isinstance(found, str):
            assert canonical(found) == found
            assert home(found) == found


@given(st.text(max_size=40))
def test_what_was_right_is_not_mended(text: str) -> None:
    latin = text.encode("utf-8").decode("latin-1")
    assert mended(mended(latin)) == mended(latin)
