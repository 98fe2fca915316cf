from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from appliance.plugin_api.http import StaticFolder
from tests.api.harness import ApiUnderTest, api_under_test, status_of


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[ApiUnderTest]:
    folder = tmp_path / "files"
    (folder / "inner").mkdir(parents=True)
    (folder / "page.html").write_text("<p>page</p>")
    (folder / "inner" / "index.html").write_text("inner index")
    (folder / ".hidden").write_text("SECRET")
    (folder / "ação.txt").write_text("acentos")
    (tmp_path / "files-next-door").mkdir()
    (tmp_path / "files-next-door" / "x").write_text("SECRET")
    (tmp_path / "secret.txt").write_text("SECRET")
    (folder / "link").symlink_to(tmp_path / "secret.txt")
    (folder / "linked-folder").symlink_to(tmp_path)
    routes = [StaticFolder("/files", folder), StaticFolder("/private", folder, "node.read")]
    async with api_under_test(tmp_path, routes, api={"drain_s": 0.5}) as served:
        yield served


async def get(api: ApiUnderTest, path: bytes) -> bytes:
    """Without a client library that would tidy the path up."""
    reader, writer = await api.connect()
    writer.write(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    answer = await reader.read()
    writer.close()
    return answer


@pytest.mark.parametrize(
    ("path", "content", "kind"),
    [
        ("/files/page.html", b"<p>page</p>", "text/html; charset=utf-8"),
        ("/files/inner/", b"inner index", "text/html; charset=utf-8"),
        ("/files/inner", b"inner index", "text/html; charset=utf-8"),
        ("/files/a%C3%A7%C3%A3o.txt", b"acentos", "text/plain; charset=utf-8"),
    ],
)
async def test_files_are_served(api: ApiUnderTest, path: str, content: bytes, kind: str) -> None:
    async with api.client() as client:
        answer = await client.get(path)
    assert answer.content == content
    assert answer.headers["content-type"] == kind
    assert "script-src 'self'" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path",
    [
        b"/files/../secret.txt",
        b"/files/%2e%2e/secret.txt",
        b"/files/..%2fsecret.txt",
        b"/files/%2e%2e%2fsecret.txt",
        b"/files/..%5csecret.txt",
        b"/files/inner/../../secret.txt",
        b"/files/%252e%252e/secret.txt",
        b"/files/....//secret.txt",
        b"/files//secret.txt",
        b"/files/page.html%00.png",
        b"/files/%00",
        b"/files/.hidden",
        b"/files/link",
        b"/files/linked-folder/secret.txt",
        b"/files/../files-next-door/x",
        b"/files/%c0%ae%c0%ae/secret.txt",
        b"/files/" + b"a/" * 100,
        b"/files/" + b"a" * 5000,
        b"/files",
        b"/files/nothing",
        b"//etc/passwd",
        b"/docs/../../errors.py",
        b"/docs/..%2fserver.py",
    ],
)
async def test_nothing_outside_is_served(api: ApiUnderTest, path: bytes) -> None:
    answer = await get(api, path)
    assert status_of(answer) in {400, 404}
    assert b"SECRET" not in answer
    assert b"import" not in answer


async def test_a_folder_has_its_permission(api: ApiUnderTest) -> None:
    async with api.client() as stranger, api.client(await api.phone("nurse")) as nurse:
        assert (await stranger.get("/private/page.html")).status_code == 401
        assert (await nurse.get("/private/page.html")).status_code == 403
    async with api.client(await api.phone("it")) as it:
        assert (await it.get("/private/page.html")).status_code == 200
        assert (await it.post("/private/page.html")).status_code == 404
