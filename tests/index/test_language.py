"""The language of a text."""

import random
from pathlib import Path

import pytest

from elunum.index.extract import extract
from elunum.index.language import language_of
from elunum.model import Document
from tests.index.archives import pages_of

FRENCH = (
    "Le conseil municipal se réunit en séance publique le premier jeudi du mois, à la mairie. Les comptes rendus sont "
    "affichés et publiés en ligne dans la semaine qui suit."
)
OCCITAN = (
    "La vila a causit de se servir de la lenga nòstra dins los panèls de las carrièras e dins las escòlas. Los enfants "
    "aprenon a parlar e a legir l'occitan, e los corses per los adultes se fan cada dimars de ser a la mediatèca."
)
BRETON = (
    "Divizet eo bet gant kuzul-kêr lakaat ar brezhoneg war ar panelloù hag e skolioù ar gumun. Kentelioù noz a zo evit "
    "an dud deuet, bep meurzh, hag ur gouel a vo aozet e miz Mae evit ar vugale hag o familhoù."
)
CATALAN = (
    "L'ajuntament ha decidit posar els noms dels carrers en català i ofereix cursos per als adults cada dimarts al "
    "vespre. Els nens de les escoles aprenen a llegir i a escriure en la llengua del país."
)
BASQUE = (
    "Herriko etxeak erabaki du euskara karriketako seinaleetan eta eskoletan erabiltzea. Helduentzako ikastaroak "
    "astearte arratsetan egiten dira mediatekan, eta haurrek irakurtzen eta idazten ikasten dute."
)
GERMAN = (
    "Der Gemeinderat tagt öffentlich am ersten Donnerstag des Monats im Rathaus. Die Protokolle werden in der "
    "folgenden Woche ausgehängt und im Netz veröffentlicht."
)


CORSICAN = (
    "A cumuna hà decisu di mette i nomi di e strade in lingua corsa è di prupone corsi à l'adulti ogni marti sera. "
    "I zitelli amparanu à leghje è à scrive in corsu à a scola, ma ùn hè micca abbastanza : ci vole à parlà cù elli in "
    "casa ancu quandu u travagliu hè longu. Dopu à a riunione, chì hè aperta à tutti, si magnerà nantu à a piazza."
)
ALSATIAN = (
    "D'Gmein het beschlosse, àss d'Stroßenàme ùff Elsassisch gschrìwe ware. D'Kìnder lehre's ìn de Schüel, ùn fer "
    "d'Erwàchsene gìbt's jede Zischtig owe e Kürs ìn dr Mediathek. Mr sìnn froh, wànn d'Litt mìt ìhre Kìnder redde ùn "
    "nìt nùmme frànzeesch. Wer mìtmàche will, kànn àm Rothüs froje."
)
ITALIAN = (
    "Il consiglio comunale si riunisce in seduta pubblica il primo giovedì del mese, in municipio. I verbali sono "
    "affissi e pubblicati in rete nella settimana che segue, e ogni abitante può chiederne una copia senza spese."
)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        (CORSICAN, "co"),
        (ALSATIAN, "gsw"),
        (ITALIAN, "it"),
        (FRENCH, "fr"),
        (OCCITAN, "oc"),
        (BRETON, "br"),
        (CATALAN, "ca"),
        (BASQUE, "eu"),
        (GERMAN, "de"),
    ],
)
def test_the_text_decides_whatever_the_page_declares(text: str, language: str) -> None:
    assert language_of(text, "fr-FR") == language


@pytest.mark.parametrize(("declared", "language"), [("fr-FR", "fr"), ("OC", "oc"), ("", ""), ("français", "")])
def test_a_short_text_is_in_the_language_the_page_declares(declared: str, language: str) -> None:
    assert language_of("Mairie, 1 place de l'Église", declared) == language


@pytest.mark.parametrize("declared", ["co-FR", "gsw"])
def test_corsican_and_alsatian_are_believed_of_a_page_that_declares_them(declared: str) -> None:
    text = "Bongiornu à tutti. " * 9
    assert language_of(text) not in ("co", "gsw")
    assert language_of(text, declared) == declared.partition("-")[0]


def test_the_same_text_has_the_same_language_every_time() -> None:
    mixed = FRENCH[:80] + GERMAN[:80]
    assert len({language_of(mixed) for _ in range(20)}) == 1


@pytest.mark.shared
def test_no_archived_page_is_taken_for_corsican_or_alsatian(shared: Path) -> None:
    """All are in French but a few in English: none comes near the four words that make a page Corsican."""
    pages = random.Random(2).sample(list(pages_of(shared)), 400)
    texts = [document.text for page in pages if isinstance(document := extract(page), Document)]
    assert {language_of(text) for text in texts} <= {"fr", "en", ""}


@pytest.mark.parametrize("text", ["1234 " * 50, "!" * 300, ""])
def test_what_has_no_words_has_no_language(text: str) -> None:
    assert language_of(text) == ""
