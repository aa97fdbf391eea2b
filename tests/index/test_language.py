"""The language of a text."""

import pytest

from elunum.index.language import language_of

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


@pytest.mark.parametrize(
    ("text", "language"),
    [(FRENCH, "fr"), (OCCITAN, "oc"), (BRETON, "br"), (CATALAN, "ca"), (BASQUE, "eu"), (GERMAN, "de")],
)
def test_the_text_decides_whatever_the_page_declares(text: str, language: str) -> None:
    assert language_of(text, "fr-FR") == language


@pytest.mark.parametrize(("declared", "language"), [("fr-FR", "fr"), ("OC", "oc"), ("", ""), ("français", "")])
def test_a_short_text_is_in_the_language_the_page_declares(declared: str, language: str) -> None:
    assert language_of("Mairie, 1 place de l'Église", declared) == language


@pytest.mark.parametrize("declared", ["co-FR", "gsw"])
def test_what_no_detector_knows_is_believed_of_a_page_that_declares_it(declared: str) -> None:
    corsican = (
        "A cumuna hà decisu di mette i nomi di e strade in lingua corsa è di prupone corsi à l'adulti ogni marti sera. "
        "I zitelli amparanu à leghje è à scrive in corsu à a scola."
    )
    assert language_of(corsican, declared) == declared.partition("-")[0]


def test_the_same_text_has_the_same_language_every_time() -> None:
    mixed = FRENCH[:80] + GERMAN[:80]
    assert len({language_of(mixed) for _ in range(20)}) == 1


@pytest.mark.parametrize("text", ["1234 " * 50, "!" * 300, ""])
def test_what_has_no_words_has_no_language(text: str) -> None:
    assert language_of(text) == ""
