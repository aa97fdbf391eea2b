import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from elunum.urls import MAX_CHARS, canonical, document_id, host_of


@pytest.mark.parametrize(
    ("spelling", "expected"),
    [
        ("http://exemple.fr", "http://exemple.fr/"),
        ("HTTP://EXEMPLE.fr:80/A", "http://exemple.fr/A"),
        ("https://exemple.fr:443/a", "https://exemple.fr/a"),
        ("https://exemple.fr:8443/a", "https://exemple.fr:8443/a"),
        ("https://exemple.fr./a", "https://exemple.fr/a"),
        ("  https://exemple.fr/a\n", "https://exemple.fr/a"),
        ("https://exemple.fr/a#partie", "https://exemple.fr/a"),
        ("https://exemple.fr/a?", "https://exemple.fr/a"),
        ("https://mairie-épinal.fr/", "https://xn--mairie-pinal-heb.fr/"),
        ("https://exemple.fr/%7Eville/%c3%a9cole", "https://exemple.fr/~ville/%C3%A9cole"),
        ("https://exemple.fr/école publique", "https://exemple.fr/%C3%A9cole%20publique"),
        ("https://exemple.fr/100%", "https://exemple.fr/100%25"),
        ("https://exemple.fr/a%2Fb", "https://exemple.fr/a%2Fb"),
        ("https://exemple.fr/a/../b/./c", "https://exemple.fr/b/c"),
        ("https://exemple.fr/../../b", "https://exemple.fr/b"),
        ("https://exemple.fr/a/%2e%2e/b", "https://exemple.fr/b"),
        ("https://exemple.fr/a/..", "https://exemple.fr/"),
        ("https://exemple.fr/a/b/..", "https://exemple.fr/a/"),
        ("http:\\\\exemple.fr\\a", "http://exemple.fr/a"),
        ("https://exemple.fr/a;jsessionid=12AB?b=1", "https://exemple.fr/a?b=1"),
        ("https://exemple.fr/a?utm_source=x&id=2&fbclid=3", "https://exemple.fr/a?id=2"),
        ("https://exemple.fr/a?PHPSESSID=12", "https://exemple.fr/a"),
        ("https://exemple.fr/?tx[uid]=1&b=é", "https://exemple.fr/?tx%5Buid%5D=1&b=%C3%A9"),
        ("https://exemple.fr/?b=2&a=1", "https://exemple.fr/?b=2&a=1"),
        ("http://[2001:DB8::1]/a", "http://[2001:db8::1]/a"),
    ],
)
def test_each_page_has_one_address(spelling: str, expected: str) -> None:
    assert canonical(spelling) == expected


@pytest.mark.parametrize(
    "hopeless",
    [
        "",
        "/relative",
        "mailto:mairie@exemple.fr",
        "javascript:void(0)",
        "ftp://exemple.fr/",
        "http://www,saint-exemple.fr/",
        "http://exemple.fr:http/",
        "http://exemple.fr:99999/",
        "http://[::1",
        "http://",
        "http:///a",
        "http://user:secret@exemple.fr/",
        "http://a b.fr/",
        "http://-a..fr/",
        "https://exemple.fr/" + "a" * MAX_CHARS,
    ],
)
def test_what_is_not_an_address_of_the_web_has_none(hopeless: str) -> None:
    assert canonical(hopeless) is None


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        ("c", "https://exemple.fr/a/c"),
        ("../c?d=1", "https://exemple.fr/c?d=1"),
        ("?page=2", "https://exemple.fr/a/b?page=2"),
        ("//autre.fr/x", "https://autre.fr/x"),
        ("#haut", "https://exemple.fr/a/b"),
        ("", "https://exemple.fr/a/b"),
        ("tel:0102030405", None),
    ],
)
def test_a_link_is_read_from_the_page_that_holds_it(link: str, expected: str | None) -> None:
    assert canonical(link, "https://exemple.fr/a/b") == expected


_ODD = st.text(alphabet=string.ascii_letters + string.digits + "/.:;?&=%#@[]\\ \t~é\u0130-_+'\"<>", max_size=60)


@given(_ODD, st.sampled_from(["", "http://", "https://exemple.fr/", "http://exemple.fr/a?b=1&", "//"]))
@example("/..;jsessionid=1/a", "https://exemple.fr")
@example("%%34%31", "https://exemple.fr/")
def test_the_canonical_address_is_its_own_canonical_address(text: str, start: str) -> None:
    found = canonical(start + text, "https://exemple.fr/dossier/page")
    if found is not None:
        assert canonical(found) == found
        assert host_of(found)


@given(st.text())
def test_no_text_whatsoever_breaks_it(text: str) -> None:
    canonical(text)
    host_of(text)
    assert len(document_id(text)) == 16


def test_http_and_https_are_one_document_and_two_pages_are_two() -> None:
    assert document_id("http://exemple.fr/a") == document_id("https://EXEMPLE.fr:443/a#b")
    assert document_id("https://exemple.fr/a") != document_id("https://exemple.fr/b")
    assert document_id("https://exemple.fr/a") != document_id("https://www.exemple.fr/a")


def test_the_host_keeps_its_www_and_its_unusual_port() -> None:
    assert host_of("https://WWW.exemple.fr/a") == "www.exemple.fr"
    assert host_of("http://exemple.fr:8080/a") == "exemple.fr:8080"
    assert host_of("nonsense") == ""
