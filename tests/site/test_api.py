"""The JSON API says what its OpenAPI document promises, and the same as the pages."""

from __future__ import annotations

import html
import json
import re

import httpx
import pytest
from pydantic import BaseModel

from elunum.site import api


@pytest.mark.parametrize(
    ("path", "model"),
    [
        ("/search?q=budget+participatif", api.SearchAnswer),
        ("/search", api.SearchAnswer),
        ("/search?q=budjet+commune:Saint-Denis", api.SearchAnswer),
        ("/search?enjeu=democratie-locale&kind=commune&kind=epci&like=68278", api.SearchAnswer),
        ("/suggest?q=budg", api.SuggestAnswer),
        ("/suggest", api.SuggestAnswer),
        ("/enjeux", api.EnjeuxAnswer),
        ("/sources", api.SourcesAnswer),
        ("/sources?q=ville&kind=commune", api.SourcesAnswer),
        ("/collectivites/68278", api.CollectiviteAnswer),
        ("/collectivites/200066009", api.CollectiviteAnswer),
    ],
)
def test_every_answer_is_the_documented_one(client: httpx.Client, path: str, model: type[BaseModel]) -> None:
    answer = client.get(f"/api/v1{path}")
    assert answer.status_code == 200
    model.model_validate(answer.json())
    assert answer.headers["access-control-allow-origin"] == "*"


def test_similar_pages_are_found_from_a_result(client: httpx.Client) -> None:
    result = client.get("/api/v1/search?q=budget+participatif").json()["results"][0]
    found = api.SimilarAnswer.model_validate(client.get(result["similar"]).json())
    assert found.id == result["id"]
    assert found.results
    assert client.get("/api/v1/similar/0000000000000000").status_code == 404


def test_the_page_and_the_api_give_the_same_results(client: httpx.Client) -> None:
    for query in ("q=budget+participatif", "q=BUDJET+PARTICIPATIF", "q=l%27%C3%A9lection", "q=qualite+de+l+eau", "q="):
        page = client.get(f"/recherche?{query}").text
        told = client.get(f"/api/v1/search?{query}").json()
        assert re.findall(r'id="r-([0-9a-f]{16})"', page) == [result["id"] for result in told["results"]]
        assert f"{told['total']} résultat" in page


def test_an_answer_that_has_only_some_of_the_words_says_so(client: httpx.Client) -> None:
    assert client.get("/api/v1/search?q=budget").json()["relaxed"] is False
    some = client.get("/api/v1/search?q=budget+zorglub").json()
    assert (some["relaxed"], some["total"] > 0) == (True, True)


def test_every_facet_count_is_what_filtering_returns(client: httpx.Client) -> None:
    facets = client.get("/api/v1/search?q=ville").json()["facets"]
    checked = 0
    for name in ("enjeu", "kind", "type", "lang", "departement", "region"):
        for value in facets.get(name, ())[:4]:
            found = client.get("/api/v1/search", params={"q": "ville", name: value["value"]}).json()["total"]
            assert found == value["count"], (name, value)
            checked += 1
    assert checked > 8


def test_the_openapi_document_names_every_parameter_and_answer(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    search = document["paths"]["/api/v1/search"]["get"]
    assert [p["name"] for p in search["parameters"]] == list(api.PARAMETERS)
    assert set(search["responses"]) == {"200", "400", "503"}
    assert "SearchAnswer" in str(search["responses"]["200"])
    assert "422" not in str(document)
    page = client.get("/api").text
    for name in api.PARAMETERS:
        assert f"<code>{name}</code>" in page


def test_every_example_of_the_documentation_can_be_pasted(client: httpx.Client) -> None:
    examples = re.findall(r"curl (?:-OJ )?'https?://[^/]+(/[^']+)'", html.unescape(client.get("/api").text))
    assert len(examples) == 10
    for path in examples:
        answer = client.get(path)
        assert answer.status_code == 200, path
        assert len(answer.content) > 100, path
    shown = re.findall(r"<pre[^>]*>({&#34;error.*?|{\"error.*?)</pre>", client.get("/api").text)
    real = client.get("/api/v1/search?size=0").json()
    assert [json.loads(html.unescape(text)) for text in shown] == [real]
