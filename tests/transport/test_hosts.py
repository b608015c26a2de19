from __future__ import annotations

import pytest
from hypothesis import given, settings, strategies as st
from yarl import URL

from vismanet_async._http.hosts import base_url, check_target, is_loopback, request_url
from vismanet_async.errors import HostNotAllowed, RequestRefused, SettingsError

BASE = base_url("https://api.finance.visma.net", name="base_url")


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("https://api.finance.visma.net", "https://api.finance.visma.net"),
        (" https://api.finance.visma.net/ ", "https://api.finance.visma.net"),
        ("https://integration.visma.net/API/controller/api/", "https://integration.visma.net/API/controller/api"),
        ("https://API.finance.visma.net:443", "https://api.finance.visma.net"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("http://LOCALHOST:1", "http://localhost:1"),
    ],
)
def test_base_urls(text: str, read: str) -> None:
    base = base_url(text, name="base_url")
    assert str(base) == read
    assert str(request_url(base, "/v1/x")) == f"{read}/v1/x"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "api.finance.visma.net",
        "/v1",
        "ftp://api.finance.visma.net",
        "file:///etc/passwd",
        "http://api.finance.visma.net",
        "http://localhost.evil.example",
        "http://127.0.0.1.evil.example",
        "http://10.0.0.1",
        "https://",
        "https://user:hush@api.finance.visma.net",
        "https://hush@api.finance.visma.net",
        "https://api.finance.visma.net?hush=1",
        "https://api.finance.visma.net#hush",
        "https://hush:hush@api.finance.visma.net:port",
        "https://[::1",
    ],
)
def test_unusable_base_urls_are_refused_without_repeating_secrets(text: str) -> None:
    with pytest.raises(SettingsError, match="base_url") as caught:
        base_url(text, name="base_url")
    assert "hush" not in str(caught.value)


def test_loopback_is_told_without_a_name_server() -> None:
    assert [is_loopback(h) for h in ("127.9.9.9", "::1", "localhost")] == [True] * 3
    assert [is_loopback(h) for h in (None, "", "localhost.", "example.com", "0.0.0.0", "8.8.8.8")] == [False] * 6


@pytest.mark.parametrize(
    "path",
    [
        "",
        "v1",
        "//evil.example/v1",
        "//evil/..",
        "/v1//x",
        "/v1/customer/",
        "@evil.example/v1",
        ".evil.example/v1",
        ":8443/v1",
        "https://evil.example/v1",
        "/\\evil.example",
        "/v1/../../x",
        "/v1/./x",
        "/v1/%2e%2e/x",
        "/v1/%2E./x",
        "/v1/..",
        "/v1/a%2fb",
        "/v1/a%2F..%2Fb",
        "/v1/a%5Cb",
        "/v1/a%00b",
        "/v1/a%0d%0aHost:%20evil",
        "/v1/x?y=1",
        "/v1/x#y",
        "/v1/a b",
        "/v1/a\r\nHost: evil",
        "/v1/å",
        "/v1/%zz",
        "/v1/%4",
        "/v1/x\n",
        "?x",
        "#x",
        "/v1/[x]",
    ],
)
def test_paths_that_could_lead_elsewhere_are_refused(path: str) -> None:
    with pytest.raises(RequestRefused, match=r"[Nn]othing was sent"):
        request_url(BASE, path)


@pytest.mark.parametrize(
    "path", ["/v1/customer/b64(Oi8_I1tdQCYqKzs)", "/v1/x/a%20b", "/v1/x/%C3%A5", "/v2/x/a...b", "/v1/x/.a", "/v1/@x:y"]
)
def test_plain_paths_go_as_they_are(path: str) -> None:
    assert str(request_url(BASE, path)) == f"https://api.finance.visma.net{path}"


@settings(deadline=None)
@given(st.text(alphabet="/\\.@:?#%2eEfF5c0d0aA[]v1-evil ~", max_size=24))
def test_whatever_the_path_the_origin_stays(path: str) -> None:
    try:
        url = request_url(BASE, path)
    except RequestRefused:
        return
    assert (url.scheme, url.host, url.port) == ("https", "api.finance.visma.net", 443)
    # however often somebody decodes and normalises it, it stays what it was
    assert URL(f"https://api.finance.visma.net{path}").raw_path.count("/") == path.count("/")


@settings(deadline=None)
@given(st.lists(st.tuples(st.text(st.characters(codec="utf-8"), min_size=1), st.text(st.characters(codec="utf-8")))))
def test_queries_come_back_as_they_went(pairs: list[tuple[str, str]]) -> None:
    url = request_url(BASE, "/v1/x", pairs)
    assert list(url.query.items()) == pairs
    assert "+" not in url.raw_query_string
    assert url.raw_query_string.isascii()


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        (">=", "%3E%3D"),
        ("<", "%3C"),
        ("a+b", "a%2Bb"),
        ("a b", "a%20b"),
        ("a&b=c", "a%26b%3Dc"),
        ("Åre", "%C3%85re"),
        ("", ""),
        ("100%", "100%25"),
        ('{"ID":"v"}', "%7B%22ID%22:%22v%22%7D"),
    ],
)
def test_query_values_are_encoded(value: str, encoded: str) -> None:
    assert request_url(BASE, "/v1/x", [("n", value)]).raw_query_string == f"n={encoded}"


@pytest.mark.parametrize("pair", [("n", "a\ud800"), ("\udfff", "x")])
def test_half_characters_are_refused_instead_of_left_out(pair: tuple[str, str]) -> None:
    with pytest.raises(RequestRefused, match="surrogate"):
        request_url(BASE, "/v1/x", [pair])


@pytest.mark.parametrize(
    "other", ["https://evil.example", "http://api.finance.visma.net", "https://api.finance.visma.net:8443"]
)
def test_the_last_look_at_scheme_host_and_port(other: str) -> None:
    check_target(URL("https://api.finance.visma.net:443/v1/x"), BASE)
    with pytest.raises(HostNotAllowed, match="nothing was sent"):
        check_target(URL(other), BASE)
