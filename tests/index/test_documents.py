"""The documents store."""

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elunum.errors import IndexVersionError
from elunum.index.documents import Documents, Versions
from elunum.model import Document, Link, Source, Tag, Why
from elunum.urls import document_id, host_of


def document(url: str = "https://a.fr/x", text: str = "Le budget participatif.") -> Document:
    return Document(
        id=document_id(url),
        url=url,
        title="Budget",
        text=text,
        headings=("Budget",),
        date=date(2024, 3, 12),
        fetched_at=datetime(2026, 11, 22, 20, tzinfo=UTC),
        lang="fr",
        source=Source("https://a.fr/", "A", "commune", insee="68278"),
        places=("commune:68278",),
        links=(Link("https://b.fr/", "B"),),
        enjeux=(Tag("democratie-locale", "", 0.8, (Why("budget participatif", "body", 2),)),),
        copies=("https://c.fr/",),
    )


def test_a_document_comes_back_as_it_was_put(tmp_path: Path) -> None:
    with Documents(tmp_path / "d.sqlite") as store:
        store.put(document())
    with Documents(tmp_path / "d.sqlite") as store:
        assert store.get(document().id) == document()
        assert list(store) == [document()]


def test_whoever_follows_the_revisions_sees_each_change_once_and_removals_as_none(tmp_path: Path) -> None:
    a, b = document("https://a.fr/a"), document("https://a.fr/b")
    with Documents(tmp_path / "d.sqlite") as store:
        store.put(a)
        store.put(b)
        seen = store.revision
        store.put(replace(a, title="Autre"))
        store.remove(b.id)
        assert [(id, d and d.title) for _, id, d in store.changed_since(seen)] == [(a.id, "Autre"), (b.id, None)]
        assert [r for r, _, _ in store.changed_since(0)] == sorted(r for r, _, _ in store.changed_since(0))
        assert not list(store.changed_since(store.revision))
        assert store.get(b.id) is None
        assert (store.counts().documents, store.counts().removed, len(store)) == (1, 1, 1)


def test_seeing_a_page_again_unchanged_is_no_change(tmp_path: Path) -> None:
    later = datetime(2026, 11, 23, tzinfo=UTC)
    with Documents(tmp_path / "d.sqlite") as store:
        assert store.put(document())
        before = store.revision
        assert not store.put(replace(document(), fetched_at=later), Versions("2"))
        store.seen(document().id, datetime(2020, 1, 1, tzinfo=UTC))
        assert store.revision == before
        found = store.get(document().id)
        assert found is not None
        assert found.fetched_at == later


def test_a_transaction_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with Documents(tmp_path / "d.sqlite") as store:
        with suppress(ZeroDivisionError), store.transaction():
            store.put(document())
            raise ZeroDivisionError
        assert store.revision == 0
        assert len(store) == 0


@pytest.mark.parametrize("content", [b"not a database at all, but long enough to be taken for one" * 20])
def test_a_file_that_is_no_store_is_refused_with_the_remedy(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "d.sqlite").write_bytes(content)
    with pytest.raises(IndexVersionError, match="elunum index --full"):
        Documents(tmp_path / "d.sqlite")


def test_a_store_of_another_format_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with Documents(tmp_path / "d.sqlite") as store:
        store.note("format", "0")
    with pytest.raises(IndexVersionError, match="elunum index --full"):
        Documents(tmp_path / "d.sqlite")


def test_changes_can_be_made_while_the_store_is_being_read(tmp_path: Path) -> None:
    with Documents(tmp_path / "d.sqlite") as store:
        for n in range(20):
            store.put(document(f"https://a.fr/{n}"))
        for found in store:
            store.put(replace(found, title="Vu"))
        assert {found.title for found in store} == {"Vu"}


HOSTS = ("a.fr", "b.fr", "c.fr")
CHANGES = st.lists(
    st.tuples(
        st.sampled_from([f"https://{host}/{n}" for host in HOSTS for n in (1, 2)]),
        st.none() | st.sets(st.sampled_from([f"https://{host}/" for host in (*HOSTS, "d.fr")])),
    ),
    max_size=25,
)


@given(CHANGES)
@settings(max_examples=60, deadline=None)
def test_the_links_between_hosts_are_those_of_the_documents_whatever_came_and_went(
    changes: list[tuple[str, set[str] | None]],
) -> None:
    with Documents(Path(":memory:")) as store:
        graph: tuple[int, object] = (store.links, set())
        for url, links in changes:
            if links is None:
                store.remove(document_id(url))
            else:
                store.put(replace(document(url), links=tuple(Link(target, "x") for target in sorted(links))))
            live = list(store)
            hosts = {host_of(one.url) for one in live}
            pairs = {(host_of(one.url), host_of(link.url)) for one in live for link in one.links}
            expected = {(host, target) for host, target in pairs if host != target and target in hosts}
            assert set(store.linked()) == expected
            for host in HOSTS:
                assert set(store.hosted(host, store.revision)) == {d.id for d in live if host_of(d.url) == host}
            if graph[0] == store.links:
                assert graph[1] == expected, "the same state, another graph"
            graph = (store.links, expected)


def test_documents_of_a_host_that_have_not_changed_since_a_revision_are_told_apart(tmp_path: Path) -> None:
    a, b = document("https://a.fr/a"), document("https://a.fr/b")
    with Documents(tmp_path / "d.sqlite") as store:
        store.put(a)
        before = store.revision
        store.put(b)
        assert store.hosted("a.fr", before) == [a.id]


def test_a_store_begun_before_links_were_counted_counts_them(tmp_path: Path) -> None:
    with Documents(tmp_path / "d.sqlite") as store:
        store.put(document("https://a.fr/a"))
        store.put(document("https://b.fr/b"))
        expected = store.linked()
        store.db.executescript("drop table linked; drop table hosted; delete from meta where name = 'links'")
    with Documents(tmp_path / "d.sqlite") as store:
        assert store.linked() == expected == [("a.fr", "b.fr")]
        assert store.hosted("a.fr", store.revision) == [document_id("https://a.fr/a")]
