"""Pictures made here as SVG: years, the tree of enjeux, the map. No script, no tile, no inline style.

Everything drawn is also said in words on the same page; every shape that can be clicked is a link reached by keyboard.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from html import escape
from urllib.parse import urlencode

from elunum import maps
from elunum.model import FacetValue, Point, Territory, TreeEnjeu
from elunum.site.context import Asked
from elunum.site.replies import nombre, pluriel, resultats

YEARS_SHOWN = 20


def years(asked: Asked, found: Sequence[FacetValue], exact: bool = True) -> str:
    """A histogram of results by year: a bar leads to the results of its year. Empty when there is one year or none."""
    counts = {int(v.value): v.count for v in found if v.value.isdigit()}
    if len(counts) < 2:
        return ""
    last = max(counts)
    first = max(min(counts), last - YEARS_SHOWN + 1)
    most = max(counts[year] for year in counts if year >= first)
    span = last - first + 1
    step = 240 / span
    bars = []
    for year in range(first, last + 1):
        count = counts.get(year, 0)
        if not count:
            continue
        height = max(3.0, 70 * count / most)
        x = (year - first) * step
        link = asked.to(since=f"{year}-01-01", until=f"{year}-12-31")
        shape = (
            f'<rect x="{x:.1f}" width="{step:.1f}" height="90" fill-opacity="0"/>'
            f'<rect class="barre" x="{x + step * 0.1:.1f}" y="{75 - height:.1f}" width="{step * 0.8:.1f}" '
            f'height="{height:.1f}" rx="1.5"/>'
        )
        bars.append(_linked(asked, "/recherche", link, f"{year} : {resultats(count, exact)}", shape))
    return (
        f'<svg viewBox="0 0 240 92" role="group" aria-label="Résultats par année, de {first} à {last}">{"".join(bars)}'
        f'<path class="axe" d="M0 75.5H240"/><text x="0" y="89" font-size="11">{first}</text>'
        f'<text x="240" y="89" font-size="11" text-anchor="end">{last}</text></svg>'
    )


# --- the tree of enjeux -----------------------------------------------------------------------------------------------

_ROW, _LINE, _INDENT, _FONT = 32, 18, 22, 15
"""Pixels at desk width, where the drawing keeps its size; a phone shrinks it a little."""


def tree(branches: Sequence[TreeEnjeu], chosen: TreeEnjeu | None, domains: Mapping[str, str]) -> str:
    """The tree of enjeux. Without `chosen`: each enjeu hangs from the one it shares most pages with, in proportion
    to both (the maximum spanning tree of the cosine of their pages). With it: its services and its neighbours."""
    if chosen is not None:
        return _draw(*_around(chosen, domains))
    return _draw(*_spanning(branches, domains))


_Node = tuple[int, int, str, str, str, float]
"""Row of the parent (-1 for a root), depth, label, address, class of the domain, number of pages."""


def _spanning(branches: Sequence[TreeEnjeu], domains: Mapping[str, str]) -> tuple[list[_Node], int]:
    known = {branch.slug: branch for branch in branches if branch.count}
    shared = {
        (branch.slug, other.value): other.count / (branch.count * known[other.value].count) ** 0.5
        for branch in known.values()
        for other in branch.together
        if other.value in known
    }
    left = sorted(known, key=lambda slug: -known[slug].count)
    children: dict[str, list[str]] = {}
    inside: list[str] = []
    while left:  # Prim's algorithm; what shares nothing with the others becomes a root of its own
        best = max(
            ((shared.get((a, b), 0.0), a, b) for a in inside for b in left), default=(0.0, "", ""), key=lambda t: t[0]
        )
        parent, slug = (best[1], best[2]) if best[0] > 0 else ("", left[0])
        children.setdefault(parent, []).append(slug)
        left.remove(slug)
        inside.append(slug)
    nodes: list[_Node] = []

    def hang(slug: str, above: int, depth: int) -> None:
        branch = known[slug]
        nodes.append((above, depth, branch.nom, f"/arbre?enjeu={slug}", domains.get(slug, "d5"), branch.count))
        row = len(nodes) - 1
        for child in children.get(slug, ()):
            hang(child, row, depth + 1)

    for root in children.get("", ()):
        hang(root, -1, 0)
    return nodes, max((known[slug].count for slug in known), default=1)


def _around(chosen: TreeEnjeu, domains: Mapping[str, str]) -> tuple[list[_Node], int]:
    own = domains.get(chosen.slug, "d5")
    nodes: list[_Node] = [(-1, 0, chosen.nom, f"/recherche?enjeu={chosen.slug}", own, chosen.count)]
    for service in chosen.services[:12]:
        address = "/recherche?" + urlencode({"enjeu": chosen.slug, "service": service.service})
        nodes.append((0, 1, service.service, address, own, service.count))
    for other in chosen.together[:8]:
        nodes.append((0, 1, other.label, f"/arbre?enjeu={other.value}", domains.get(other.value, "d5"), other.count))
    return nodes, chosen.count


def _draw(nodes: Sequence[_Node], most: float) -> str:
    place, y = [], 0
    for _, depth, label, *_rest in nodes:
        lines = _lines(label)
        place.append((18 + depth * _INDENT, y + 20, lines))
        y += _ROW + _LINE * (len(lines) - 1)
    links, shapes = [], []
    width = 0.0
    for row, (above, _, label, address, domain, count) in enumerate(nodes):
        x, y, lines = place[row]
        if above >= 0:
            x0, y0, _ = place[above]
            thick = 1.5 + 5 * (count / most) ** 0.5
            links.append(
                f'<path class="s {domain}" stroke-opacity=".45" stroke-width="{thick:.1f}" '
                f'd="M{x0} {y0}C{x0} {y - 6} {x0 + 4} {y} {x} {y}"/>'
            )
        radius = 4 + 9 * (count / most) ** 0.5
        left = f"{x + radius + 7:.1f}"
        words = "".join(
            f'<tspan x="{left}" y="{y + 5 + _LINE * n}">{escape(line)}</tspan>' for n, line in enumerate(lines)
        )
        shapes.append(
            f'<a href="{escape(address)}"><title>{escape(label)} : {pluriel(int(count), "page")}</title>'
            f'<circle class="f {domain}" cx="{x}" cy="{y}" r="{radius:.1f}"/><text font-size="{_FONT}">{words}'
            f'<tspan font-size="12" fill-opacity=".75" dx="6">{nombre(count)}</tspan></text></a>'
        )
        width = max(width, x + radius + 45 + _FONT * 0.56 * max(map(len, lines)))
    size = f"{width:.0f}", f"{place[-1][1] + _LINE * len(place[-1][2]) if place else 0}"
    drawn = "".join(links + shapes)
    return (
        f'<svg viewBox="0 0 {" ".join(size)}" width="{size[0]}" height="{size[1]}" role="group" '
        f'aria-label="Arbre des enjeux">{drawn}</svg>'
    )


def _lines(label: str) -> list[str]:
    """A label in lines short enough for a phone; an SVG does not wrap."""
    return textwrap.wrap(label, 36) or [""]


# --- the map ----------------------------------------------------------------------------------------------------------

MAX_POINTS = 300
"""Collectivités drawn, those with most results: a broad search has thousands, and the page must stay light."""


def france(
    asked: Asked,
    regions: Sequence[tuple[Territory, int]],
    departements: Sequence[FacetValue],
    points: Sequence[Point],
    around: Sequence[str] = (),
) -> str:
    """The map of results: départements shaded by their results, the figure of each région, communes and EPCI as points.

    A figure or a shade leads to the map of that place alone, drawn closer; a point to its results. Places without a
    result lead nowhere. In « mode discret » nothing is a link: an SVG holds no button, and the page says so.
    around: codes of départements drawn even without a result.
    """
    drawn = maps.contours()
    search = asked.search
    closer = drawn.departements.get(search.departement) or drawn.regions.get(search.region)
    left, top, width, height = maps.frame(closer) if closer else (0, 0, maps.WIDTH, maps.HEIGHT)
    scale = width / maps.WIDTH
    counts = {value.value: value.count for value in departements if value.count}
    names = {value.value: value.label for value in departements}
    most = max(counts.values(), default=1)
    fixed = 'vector-effect="non-scaling-stroke"'
    shapes = [f'<path id="reg{code}" {fixed} d="{path}"/>' for code, path in drawn.regions.items()]
    for code, path in [*drawn.departements.items(), *(() if closer else drawn.ring.items())]:
        if code in counts:
            words = escape(f"{names[code]} : {pluriel(counts[code], 'résultat')}")
            # Four shades, by the share of the greatest: the eye compares areas, not figures.
            shade = min(4, 1 + int(4 * (counts[code] / most) ** 0.5 - 0.001))
            again = code in drawn.ring and path == drawn.ring[code]
            shape = f'<path class="n{shade}" {fixed} d="{path}"/>'
            shapes.append(_linked(asked, "/carte", asked.to(departement=code), words, shape, again))
        elif code in around or path is drawn.ring.get(code):
            shapes.append(f'<path {fixed} d="{path}"/>')
    shapes.append("".join(f'<use href="#reg{code}"/>' for code in drawn.regions))
    for inset in () if closer else maps.INSETS:
        shapes.append(
            f'<rect x="{inset.x}" y="{inset.y}" width="{inset.width}" height="{inset.height}" rx="4" class="cadre"/>'
        )
    for point in points:
        place = maps.place(point.territory, ring=not closer) if point.territory.kind in ("commune", "epci") else None
        if place is not None:
            words = escape(f"{point.territory.name} : {pluriel(point.count, 'résultat')}")
            radius = scale * (4 + 8 * (point.count / max(most, point.count)) ** 0.5)
            circle = f'<circle {fixed} cx="{place[0]}" cy="{place[1]}" r="{radius:.1f}"/>'
            query = asked.to(**{point.territory.kind: point.territory.code})
            shapes.append(_linked(asked, "/recherche", query, words, circle))
    for region, count in () if closer else regions:
        place = maps.place(region)
        if place is not None:
            words = escape(f"{region.name} : {pluriel(count, 'résultat')}")
            text = f'<text paint-order="stroke" x="{place[0]}" y="{place[1]}">{nombre(count)}</text>'
            shapes.append(_linked(asked, "/carte", asked.to(region=region.code), words, text))
    size = f"{left:.1f} {top:.1f} {width:.1f} {height:.1f}"
    picture = "".join(shapes)
    return f'<svg class="carte-fr" viewBox="{size}" role="group" aria-label="Carte des résultats">{picture}</svg>'


def _linked(asked: Asked, to: str, query: str, words: str, shape: str, again: bool = False) -> str:
    """A shape that leads to results and says which. `again`: drawn twice, a place is one stop for the keyboard."""
    if asked.discreet:
        return f"<g><title>{words}</title>{shape}</g>"
    hidden = ' tabindex="-1" aria-hidden="true"' if again else f' aria-label="{words}"'
    return f'<a href="{to}?{escape(query)}" rel="nofollow"{hidden}><title>{words}</title>{shape}</a>'
