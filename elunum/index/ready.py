"""Imported by the process that forks workers, and by nothing else: loads once what each of them would load again."""

from elunum.index.language import language_of
from elunum.index.update import places_finder, tagger_with

places_finder()
tagger_with((), None)
for text in ("Bonjour à toutes et à tous. ", "Good morning to you all. "):
    language_of(text * 10)
