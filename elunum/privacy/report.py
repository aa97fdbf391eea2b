"""What the check found, as a data protection officer reads and keeps it: in French, on two pages."""

from __future__ import annotations

import platform
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from elunum import __version__


@dataclass(frozen=True, slots=True, order=True)
class Leak:
    """Something about a reader found where nothing about readers may be."""

    what: str  # « requête (GET) », « adresse du lecteur »
    form: str  # « en clair », « sha256 »
    where: str  # a file, « sortie d’erreur », « connexion sortante »


@dataclass(frozen=True, slots=True)
class Played:
    """One kind of visit and what it was answered."""

    program: str
    name: str
    answers: tuple[tuple[int, int], ...]  # (HTTP status, how many), 0 for no answer


@dataclass(frozen=True, slots=True)
class Read:
    """A place that was searched."""

    place: str
    count: int  # files, writes or answers
    size: int  # bytes


@dataclass(frozen=True, slots=True)
class PrivacyReport:
    """The result of `elunum privacy-check`. No leak: `leaks` is empty."""

    started_at: datetime
    took_s: float
    index: str  # which index was served
    canaries: int
    traced: bool  # system calls were seen
    played: tuple[Played, ...]
    read: tuple[Read, ...]
    leaks: tuple[Leak, ...]
    reservations: tuple[str, ...]  # what could not be checked here, or is for the operator to set

    def render(self) -> str:
        """The report in French, for a data protection officer."""
        visits = sum(count for played in self.played for _, count in played.answers)
        verdict = (
            f"NON CONFORME : {len(self.leaks)} fuite(s), voir la partie 3."
            if self.leaks
            else f"CONFORME, sous {len(self.reservations)} réserve(s), voir la partie 4."
            if self.reservations
            else "CONFORME : aucune donnée de lecteur retrouvée, nulle part."
        )
        system = f"Python {platform.python_version()}, {platform.system()} {platform.release()}"
        parts = [
            "RAPPORT DE CONTRÔLE DE CONFIDENTIALITÉ D’ELUNUM",
            f"Date : {self.started_at:%d/%m/%Y à %H h %M} (UTC), durée {self.took_s:.0f} s\n"
            f"Logiciel : Elunum {__version__}, {system}\n"
            f"Machine : {platform.node()}\n"
            f"Index servi pendant le contrôle : {self.index}",
            f"Conclusion : {verdict}",
            _paragraph("""Engagement contrôlé : « Votre requête n’est écrite nulle part : ni disque, ni journal, ni
                métrique, ni tiers. »"""),
            "1. Ce qui a été fait",
            _paragraph(f"""Le vrai service a été démarré et a reçu {visits} visites d’essai. Chacune portait, dans sa
                requête, ses filtres, son chemin, ses en-têtes, son agent utilisateur, sa page d’origine,
                ses cookies et son adresse réseau, des mots tirés au hasard pour ce contrôle
                ({self.canaries} en tout) : s’ils sont retrouvés quelque part, c’est que le service les y
                a mis. Les pannes sont provoquées de l’extérieur, par un programme que seul ce contrôle
                charge. Réponses obtenues, par code HTTP (200 : la page demandée ; 4.. : une demande refusée ;
                500 : une panne ; 503 : « réessayez plus tard ») :"""),
            "\n".join(self._played()),
            "2. Ce qui a été lu",
            _paragraph("""Chaque mot et chaque adresse ont été cherchés en clair, encodés (URL, HTML, JSON, base64,
                base32, hexadécimal, UTF-16, UTF-32, rot13), à l’envers, et sous forme d’empreinte (MD5,
                SHA-1, SHA-256, SHA-512, BLAKE2), entière ou tronquée ; les adresses aussi tronquées à
                trois octets. Une empreinte à clé secrète ou un chiffrement ne peuvent pas être cherchés :
                c’est pourquoi toute écriture dans un fichier pendant les visites est comptée comme une
                fuite, quel qu’en soit le contenu."""),
            "\n".join(f"  - {read.place} : {_counted(read)}" for read in self.read),
            "3. Ce qui a été trouvé",
            "\n".join(f"  - FUITE : {leak.what}, {leak.form}, dans : {leak.where}" for leak in self.leaks) or "  Rien.",
            "4. Réserves",
            "\n".join(_paragraph(reservation, "  - ") for reservation in self.reservations) or "  Aucune.",
            "5. Ce que ce contrôle ne dit pas",
            _paragraph("""Il porte sur cette machine, à cette date, avec cette version. Il ne voit ni le réseau
                entre le lecteur et la machine (hébergeur, opérateur), ni une machine placée devant elle,
                ni un administrateur qui changerait le logiciel. À conserver avec le registre des
                traitements, et à refaire après chaque mise à jour."""),
        ]
        return "\n\n".join(parts) + "\n"

    def _played(self) -> Iterator[str]:
        program = ""
        for played in self.played:
            if played.program != program:
                program = played.program
                yield f"  {program}"
            answers = ", ".join(f"{count} × {status or 'sans réponse'}" for status, count in played.answers)
            yield f"    - {played.name} : {answers}"


def _paragraph(text: str, first: str = "") -> str:
    words = " ".join(text.split())
    return textwrap.fill(words, 100, initial_indent=first, subsequent_indent=" " * len(first), break_long_words=False)


def _counted(read: Read) -> str:
    size = f"{read.size:,}".replace(",", "\u202f")
    return f"{read.count}, soit {size} octets" if read.size else str(read.count)
