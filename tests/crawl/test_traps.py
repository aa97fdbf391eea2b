"""Which addresses are worth a visit: those that editors made are all asked, those that machines make up are not.

The addresses are those of the systems that French public bodies use: WordPress, SPIP, Drupal, TYPO3, Joomla, eZ.
"""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from elunum.crawl import frontier
from elunum.crawl.scope import Parameters, shape, trap
from elunum.urls import canonical
from tests.crawl.conftest import Nights
from tests.web.server import LISTS, Answer, Asked, Reply, page, sites

Begin = Callable[[Answer], Nights]
NEXT_YEAR = datetime.now(UTC).year + 1
LONG = "Le conseil municipal se réunit chaque mois en mairie et ses séances sont ouvertes à tous. " * 3

WORTH = """
/2024/05/  /2024/05/14/  /2024/05/14/un-budget-participatif/  /actualites/page/2/  /actualites?page=2  /?p=123
/?page_id=12  /?cat=3&paged=2  /?m=202405  /wp-content/uploads/2024/05/pv.pdf  /evenement/marche/2026-07-14/
/spip.php?article123  /spip.php?rubrique3&lang=fr  /spip.php?rubrique3&debut_articles=10  /article.php3?id_article=45
/spip.php?page=article&id_article=12  /spip.php?page=plan  /Le-budget-participatif,123
/spip.php?action=acceder_document&arg=12&cle=abc&file=pdf%2Fpv.pdf
/?q=node/12  /node/1523/3  /sites/default/files/2024-03/pv-2024-03-12.pdf
/actes?field_type_target_id=All&title=&field_date_value=&field_theme=All&items=&page=2
/actes?annee[value][year]=2023
/index.php?id=12  /index.php?id=12&L=0&tx_ttnews[tt_news]=34&tx_ttnews[backPid]=5&cHash=abcdef0123
/index.php?id=12&tx_ttnews[year]=2011&tx_ttnews[month]=03&tx_ttnews[day]=04&tx_ttnews[tt_news]=34&cHash=ab
/actualites?tx_news_pi1[action]=detail&tx_news_pi1[controller]=News&tx_news_pi1[news]=12&cHash=a1
/actualites?tx_news_pi1[@widget_0][currentPage]=3&cHash=a1
/index.php?option=com_content&view=article&id=3&Itemid=53  /index.php?option=com_content&task=view&id=12&Itemid=26
/index.php?option=com_content&view=category&layout=blog&id=9&Itemid=53&lang=fr
/component/content/article/12-vie-locale/34-marche  /actualites/12-vie-municipale/345-le-budget?start=10
/agenda/icalrepeat.detail/2026/05/14/123/-/fete-du-village  /agenda/12-fete-du-village/2026-05-14-10-00
/Actualites/(offset)/10  /content/view/full/123  /content/download/1432/9/file/pv.pdf
/index.php?action=article&id=12  /index.php?dir=documents/2023  /voir.php?pdf=pv_2024.pdf  /fiche.php?f=12
/affichage.aspx?page=2  /deliberations?annee=2019  /deliberations?year=2020&page=2  /actualites?theme=environnement
/conseil-municipal/2024-05-14  /ordre-du-jour/2024-05-14  /agenda/2026-05  /agenda/fete-de-la-musique  /agenda-21/2
/article/1234/5  /actualites/1056/12-fete-du-velo  /documents/1204-10-compte-rendu.pdf  /documents/2019/documents/pv
/patrimoine/guerre-1914-1918  /ceremonie-1945/8-mai  /histoire/1944/8  /patrimoine/eglise-1850/2  /plan-2030/12-actions
/connexion-internet  /panier-de-legumes  /kit/print-media-charte  /inscriptions/registre  /?sens=unique
"""

NOT_WORTH = {
    "calendar": f"""
/agenda/{NEXT_YEAR + 1}-05  /agenda/{NEXT_YEAR + 4}-05-14  /calendrier/{NEXT_YEAR + 4}/5  /agenda/1962-07
/agenda/2026-05-14  /agenda/jour/2026-05-14/  /calendar/day/2026/05/14  /l-agenda/14-05-2026  /les_evenements/20260514
/evenements/?tribe-bar-date=2025-05-14  /evenements/liste/?eventDisplay=past&tribe_paged=3
/calendrier/action~month/exact_date~1746054000000/  /calendrier/action~agenda/page_offset~-3/request_format~html/
/agenda/day.listevents/2026/05/14/-  /agenda/month.calendar/2026/05/14/-  /agenda?mois=3  /accueil?month=may&yr=2026
/index.php?option=com_jevents&task=day.listevents&year=2026&month=05&day=14
/index.php?id=12&tx_cal_controller[view]=day&tx_cal_controller[getdate]=20260514
/index.php?id=12&tx_cal_controller[day]=14&tx_cal_controller[month]=5&tx_cal_controller[year]=2026&cHash=a
/accueil?mini=agenda/2026-05  /accueil?date=2026-05-14  /accueil?iccaldate=2026-05-1  /liste?annee={NEXT_YEAR + 1}
/salles/{NEXT_YEAR + 4}-05-14
""",
    "another view": """
/index.php?id=12&type=98  /index.php?id=12&print=1  /article?version=imprimable  /article?view=print
/index.php?option=com_content&view=article&id=3&tmpl=component&print=1&layout=default&page=  /?feed=rss2
/index.php?option=com_mailto&tmpl=component&link=a  /spip.php?page=imprimer&id_article=12
/spip.php?page=backend&id_rubrique=2  /spip.php?page=login&url=x  /spip.php?action=converser&redirect=%2F
/actualites?format=feed&type=rss  /article/?share=facebook  /article/?replytocom=12  /article/?amp=1
/documents/?C=M;O=A  /documents/?C=N&O=D  /liste?sort=nom&order=asc  /liste?tri=nom&sens=desc  /liste?orderby=date
/liste?sort_by=title&sort_order=ASC  /node/12?destination=node/13  /wiki?action=edit  /wiki?do=export_pdf
/article?preview=true  /article?pdf=1
""",
    "not a page": """
/print/123  /node/123/print  /printpdf/123  /printmail/123  /layout/set/print/content/view/full/123  /print.php?id=12
/imprimer.php?id=12  /imprimer.html  /component/mailto/?link=abc  /article/embed/  /article/trackback/  /article/feed/
/content/tipafriend/123  /user/login?destination=node/12  /comment/reply/12  /search/node/eau  /wp-login.php
/wp-json/oembed  /article/amp/  /login.aspx
""",
    "facets": """
/liste?f[0]=theme:12  /liste?f%5B0%5D=theme%3A12&f%5B1%5D=annee%3A2020  /liste?tx_solr[filter][0]=type:pages
/liste?filtre_theme=3  /liste?filter_order=a.title  /liste?tag[]=a&tag[]=b  /liste?a=1&b=2&c=3&d=4&e=5&g=6&h=7&i=8&j=9
""",
    "repeated segments": "/a/b/a/b  /a/b/a/b/a/b  /x/encore/encore/encore",
    "too deep": "/" + "/".join("abcdefghijklmn"),
    "not a text": "/photo.JPG  /plan.dwg?v=2  /style.css",
}


def worth_less(path: str) -> str:
    url = canonical("https://a.fr" + path)
    assert url is not None
    return trap(url)


def test_addresses_that_editors_made_are_followed() -> None:
    lost = {path: why for path in WORTH.split() if (why := worth_less(path))}
    assert lost == {}


@pytest.mark.parametrize("why", NOT_WORTH)
def test_addresses_that_machines_make_up_are_not_followed(why: str) -> None:
    told = {path: worth_less(path) for path in NOT_WORTH[why].split()}
    assert {path: reason for path, reason in told.items() if reason != why} == {}


def test_addresses_of_one_machine_have_one_shape() -> None:
    shapes = {shape(f"https://a.fr/article-{n}.html?page={n}&x=1") for n in range(20)}
    assert len(shapes) == 1
    assert shape("https://a.fr/") != shape("https://a.fr/article")


def bare(text: str, *links: str) -> Reply:
    """A page whose text does not say where it links to."""
    anchors = "".join(f'<a href="{link}"></a>' for link in links)
    return Reply(body=f"<title>t</title><p>{text}</p>{anchors}".encode(), headers={"Content-Type": "text/html"})


# --- what the server saw ---------------------------------------------------------------------------------------------


def test_no_link_of_a_machine_is_asked_and_all_those_of_editors_are(nights: Begin) -> None:
    worth = [path for path in WORTH.split() if path != "/agenda-21/2"][::4]
    traps = [path for some in NOT_WORTH.values() for path in some.split()]
    night = nights(sites({"a.fr": {"/": page("accueil", *traps, *worth)}}))
    report = night("a.fr")
    assert report.not_followed == {why: len(paths.split()) for why, paths in sorted(NOT_WORTH.items())}
    wanted = {url.removeprefix("http://a.fr") for path in worth if (url := canonical("http://a.fr" + path))}
    assert set(night.web.asked_of("a.fr")) == {"/", *wanted}


def test_sessions_and_what_follows_readers_make_no_second_address(nights: Begin) -> None:
    links = (
        "/a?PHPSESSID=1", "/a;jsessionid=2", "/a?utm_source=lettre&utm_medium=mail", "/a?fbclid=3", "/a?gclid=7",
        "/(S(lit3py55t21z5v55vlm25s55))/a", "/a?eZSESSIDmairie=4", "/a?fe_typo_user=5", "/a?xtor=EPR-6", "/a?srsltid=9",
        "/a?mtm_campaign=8",
    )  # fmt: skip
    night = nights(sites({"a.fr": {"/": page("accueil", *links), "/a": page("une")}}))
    assert night("a.fr").new == 2
    assert night.web.asked_of("a.fr") == ["/", "/a"]


def test_a_calendar_is_not_followed_for_ever(nights: Begin) -> None:
    def calendar(asked: Asked) -> Reply | None:
        year, _, month = asked.target.removeprefix("/agenda/").partition("-")
        if asked.target == "/":
            return page("accueil", f"/agenda/{NEXT_YEAR}-01")
        if not asked.target.startswith("/agenda/"):
            return None
        following = int(year) * 12 + int(month)
        days = [f"{asked.target}-{day:02}" for day in range(1, 32)]
        return page("agenda", f"/agenda/{following // 12}-{following % 12 + 1:02}", *days)

    night = nights(calendar)
    night("a.fr")
    assert len(night.web.asked_of("a.fr")) == 13  # the home page and the months of next year


def test_a_path_that_repeats_itself_or_never_ends_is_left(nights: Begin) -> None:
    def answer(asked: Asked) -> Reply | None:
        if asked.target in LISTS:
            return None
        depth = asked.target.count("/")
        return page(
            f"page {asked.target}", f"{asked.target.rstrip('/')}/n{depth}", f"{asked.target.rstrip('/')}/encore"
        )

    night = nights(answer)
    night("a.fr", pages_per_host=300)
    asked = night.web.asked_of("a.fr")
    assert max(target.count("/") for target in asked) <= 12
    assert max(target.split("/").count("encore") for target in asked) == 2
    assert len(asked) < 300


def test_a_list_that_goes_on_for_ever_with_the_same_page_stops_and_every_page_it_lists_is_asked(nights: Begin) -> None:
    def answer(asked: Asked) -> Reply | None:
        path, _, query = asked.target.partition("?")
        if path in LISTS:
            return None
        if path == "/":
            return bare(LONG, "/actualites?page=0")
        if path != "/actualites":
            return bare(f"{LONG} {path}")
        number = int(query.removeprefix("page="))
        listed = [f"/actualite-{5 * number + n}" for n in range(5)] if number < 6 else []
        return bare(f"{LONG} {listed}", f"/actualites?page={number + 1}", *listed)

    night = nights(answer)
    night("a.fr")
    asked = night.web.asked_of("a.fr")
    assert {f"/actualite-{n}" for n in range(30)} <= set(asked)
    assert [target for target in asked if "?" in target] == [f"/actualites?page={n}" for n in range(8)]


def test_a_parameter_that_does_not_change_the_page_is_learnt_and_dropped(nights: Begin) -> None:
    def answer(asked: Asked) -> Reply | None:
        path, _, query = asked.target.partition("?")
        if path in LISTS:
            return None
        number = int(path.strip("/") or 0)
        # The origin of the visit is in each address, and the real parameter changes the page.
        links = [f"/{n}?depuis={number}&vue={n % 2}" for n in range(12)]
        return page(f"page {path} {[part for part in query.split('&') if part.startswith('vue')]}", *links)

    night = nights(answer)
    night("a.fr")
    asked = night.web.asked_of("a.fr")
    # Twelve pages seen from twelve would be 144 visits.
    assert {f"/{n}?vue={n % 2}" for n in range(12)} <= {a.replace("depuis=0&", "") for a in asked}
    assert len(asked) < 60


def test_the_parameter_that_tells_the_pages_of_an_old_site_apart_is_not_dropped_because_some_are_empty(
    nights: Begin,
) -> None:
    def answer(asked: Asked) -> Reply | None:
        path, _, query = asked.target.partition("?")
        if path in LISTS:
            return None
        number = int(query.removeprefix("id=") or 0)
        links = [f"/index.php?id={n}" for n in range(2 * number + 1, 2 * number + 3) if n < 40]
        if number in (0, 1, 2, 3, 4, 20, 21, 22, 23):
            return bare("Page en construction", *links)
        return bare(f"Page {number}", *links)

    night = nights(answer)
    night("http://a.fr/index.php?id=0")
    assert set(night.web.asked_of("a.fr")) == {f"/index.php?id={n}" for n in range(40)}


def test_a_parameter_that_changes_some_pages_is_not_idle_because_it_leaves_others_the_same() -> None:
    parameters = Parameters()
    texts = {
        f"http://a.fr/{n}?lang={lang}": bytes([n, n < 2 and lang == "en"]) for n in range(6) for lang in ("fr", "en")
    }
    for url, text in texts.items():
        parameters.note(url, text, lambda url: None)
    assert parameters.idle == frozenset()
    for url, text in texts.items():
        parameters.note(url.replace("lang=", "de="), text[:1], lambda url: None)
    assert parameters.idle == {"de"}


def test_what_was_believed_of_a_parameter_while_a_site_was_closed_is_unlearnt(nights: Begin) -> None:
    closed = [True]

    def answer(asked: Asked) -> Reply | None:
        path = asked.target.partition("?")[0]
        if path in LISTS:
            return None
        links = [f"/{path}?vue={vue}" for path in "abcde" for vue in range(3)]
        if closed[0]:
            return bare("Site en maintenance", *(links if path == "/" else ()))
        return bare(f"Page {asked.target}", *links)

    night = nights(answer)
    night("a.fr")
    assert len(night.web.asked_of("a.fr")) < 16
    closed[0] = False
    for _ in range(3):
        night.clock.days(8)
        night("a.fr")
    assert {f"/{path}?vue={vue}" for path in "abcde" for vue in range(3)} <= set(night.web.asked_of("a.fr"))


def test_pages_of_one_shape_are_asked_as_many_as_proved_useful_and_no_more(
    nights: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(asked: Asked) -> Reply | None:
        if asked.target in LISTS:
            return None
        number = int(asked.target.partition("?article")[2] or 0)
        return page(
            f"article {number}" if asked.host == "a.fr" else "rien", *(f"/?article{number + n}" for n in (1, 2))
        )

    monkeypatch.setattr(frontier, "MAX_SAME_SHAPE", 10)
    same = Reply(body=b"<p>rien</p>" + b"".join(b'<a href="/?article%d"></a>' % n for n in range(1, 100)),
                 headers={"Content-Type": "text/html"})  # fmt: skip
    night = nights(lambda asked: None if asked.target in LISTS else same if asked.host == "b.fr" else answer(asked))
    for first_then in (11, 31):  # ten, then as many again as were useful beside the next ten
        night("a.fr", "b.fr")
        assert len(set(night.web.asked_of("a.fr"))) == first_then
        assert len(set(night.web.asked_of("b.fr"))) <= 14
        night.clock.days(31)


# --- the budget ------------------------------------------------------------------------------------------------------


def test_a_host_stops_at_its_budget_which_grows_with_what_was_useful(nights: Begin) -> None:
    def endless(asked: Asked) -> Reply:
        number = int("".join(filter(str.isdigit, asked.target)) or 0)
        links = (f"/{'abcdefghij'[n % 10]}{number * 3 + n}" for n in range(1, 4))
        head = '<meta name="robots" content="noindex">' if asked.host == "b.fr" and asked.target != "/" else ""
        return page(f"page {number}", *links, head=head)

    night = nights(endless)
    night("a.fr", "b.fr", pages_per_host=30)
    first = {host: len(set(night.web.asked_of(host))) for host in ("a.fr", "b.fr")}
    assert first == {"a.fr": 28, "b.fr": 28}  # and the two lists that were looked for
    night.clock.days(1)
    night("a.fr", "b.fr", pages_per_host=30)
    assert 50 <= len(set(night.web.asked_of("a.fr"))) <= 60
    assert len(set(night.web.asked_of("b.fr"))) <= 29  # its pages were not for us
