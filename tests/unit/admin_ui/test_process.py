"""The dashboard as a process: what it says, what it lets in, how it ends."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import signal
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser

from admin_ui.session import COOKIE
from appliance.api.admin_alerts import AlertDesk
from appliance.api.admin_capacity import CapacityDesk
from appliance.api.admin_cluster import ClusterDesk
from appliance.api.admin_doctor import DoctorDesk
from appliance.api.admin_drills import DrillDesk
from appliance.api.admin_packs import PackDesk
from appliance.api.admin_schedule import ScheduleDesk
from appliance.api.admin_updates import UpdateDesk
from tests.api.admin_harness import PASSWORD, AdminApi, MoreRoutes, admin_api

pytestmark = pytest.mark.asyncio(loop_scope="module")
ROOT = Path(__file__).parents[3]


@dataclass
class Dashboard:
    process: subprocess.Popen[str]
    url: str
    api: AdminApi
    folder: Path
    people: set[str] = field(default_factory=set)
    chromium: Browser = field(init=False)
    """Set by whoever looks at it with a browser."""

    def browser(self, **options: object) -> httpx.AsyncClient:
        headers = {"Origin": self.url, "Accept-Language": "pt-BR"}
        trusted = ssl.create_default_context(cafile=self.api.home.ca)
        return httpx.AsyncClient(base_url=self.url, verify=trusted, headers=headers, timeout=60, **options)

    async def sign_in(self, http: httpx.AsyncClient, role: str, password: str = PASSWORD) -> httpx.Response:
        if role not in self.people:
            self.people.add(await self.api.person(role))
        await http.get("/login")
        return await http.post("/login", data={"username": role, "password": password})


@asynccontextmanager
async def dashboard(
    folder: Path,
    *extra: str,
    pass_fds: tuple[int, ...] = (),
    desk: ClusterDesk | None = None,
    schedule: ScheduleDesk | None = None,
    alerts: AlertDesk | None = None,
    packs: PackDesk | None = None,
    drills: DrillDesk | None = None,
    capacity: CapacityDesk | None = None,
    updates: UpdateDesk | None = None,
    doctor: DoctorDesk | None = None,
    more: MoreRoutes = lambda *_: [],
) -> AsyncIterator[Dashboard]:
    async with admin_api(
        folder,
        desk=desk,
        schedule=schedule,
        alerts=alerts,
        packs=packs,
        drills=drills,
        capacity=capacity,
        updates=updates,
        doctor=doctor,
        more=more,
    ) as api:
        argv = [sys.executable, "-m", "admin_ui", "--api", api.url, "--ca", str(api.home.ca), "--port", "0"]
        argv += ["--certificate", str(api.home.secrets / "server.pem"), "--key", str(api.home.secrets / "server.key")]
        argv += ["--client-certificate", str(api.certificate), "--client-key", str(api.key), *extra]
        workplace = folder / "cwd"
        workplace.mkdir()
        with subprocess.Popen(
            argv,
            cwd=workplace,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            pass_fds=pass_fds,
        ) as process:
            assert process.stdout is not None
            ready = await asyncio.to_thread(process.stdout.readline)
            try:
                yield Dashboard(process, json.loads(ready)["admin"] if ready else "", api, workplace)
            finally:
                process.kill()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Dashboard]:
    """One dashboard for all tests that leave it running."""
    async with dashboard(tmp_path_factory.mktemp("dashboard")) as one:
        yield one


async def test_sigterm_ends_it_with_status_0_and_nothing_more_was_said_or_stored(tmp_path: Path) -> None:
    async with dashboard(tmp_path) as one, one.browser() as http:
        await one.sign_in(http, "admin")
        assert (await http.get("/")).status_code == 200
        one.process.send_signal(signal.SIGTERM)
        out, err = await asyncio.to_thread(one.process.communicate, None, 30)
    assert one.process.returncode == 0
    assert (out, err) == ("", "")
    assert list(one.folder.iterdir()) == []


async def test_it_ends_when_its_parent_is_gone_and_says_ready_where_it_was_told(tmp_path: Path) -> None:
    ready_read, ready_write = os.pipe()
    leash_read, leash_write = os.pipe()
    waiting = asyncio.create_task(asyncio.to_thread(os.read, ready_read, 4096))
    flags = (f"--ready-fd={ready_write}", f"--leash-fd={leash_read}")

    async def live() -> tuple[int | None, dict[str, object]]:
        async with dashboard(tmp_path, *flags, pass_fds=(ready_write, leash_read)) as one:
            status = await asyncio.to_thread(one.process.wait, 60)
            return status, {"stdout": one.url}

    life = asyncio.create_task(live())
    line = json.loads(await waiting)
    os.close(leash_write)
    status, said = await life
    for descriptor in (ready_read, ready_write, leash_read):
        os.close(descriptor)
    assert line["admin"].startswith("https://127.0.0.1:")
    assert (status, said) == (0, {"stdout": ""})


async def test_it_speaks_tls_1_3_only(running: Dashboard) -> None:
    old = ssl.create_default_context(cafile=running.api.home.ca)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    async with httpx.AsyncClient(verify=old, timeout=60) as http:
        with pytest.raises(httpx.ConnectError):
            await http.get(f"{running.url}/login")
    async with running.browser() as http:
        assert (await http.get("/login")).status_code == 200


async def test_pages_forbid_everything_from_outside(running: Dashboard) -> None:
    async with running.browser() as http:
        page = await http.get("/login")
    policy = page.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert not re.search(r"https?:|\*", policy)
    outside = re.findall(r"""(?:src|href)=["']?(?:https?:)?//[^"' >]+""", page.text)
    assert outside == []
    assert 'lang="pt-BR"' in page.text


async def test_the_cookie_is_secure_and_changes_at_sign_in(running: Dashboard) -> None:
    async with running.browser() as http:
        before = (await http.get("/login")).headers["set-cookie"]
        answer = await running.sign_in(http, "admin")
        after = answer.headers["set-cookie"]
    for cookie in (before, after):
        assert cookie.startswith(f"{COOKIE}=")
        assert {"HttpOnly", "Secure", "Path=/", "SameSite=strict"} <= set(cookie.split("; "))
    assert before.split(";")[0] != after.split(";")[0]
    assert (answer.status_code, answer.headers["location"]) == (303, "/")


async def test_no_token_reaches_the_browser(running: Dashboard) -> None:
    async with running.browser() as http:
        signed = await running.sign_in(http, "admin")
        pages = [await http.get(path) for path in ("/", "/engines", "/plugins", "/jobs", "/people")]
    hashes = await running.api.store.read(lambda q: q.all("SELECT sha256 FROM security_token"))
    known = {bytes(row[0]) for row in hashes if isinstance(row[0], bytes)}
    assert known
    for page in [signed, *pages]:
        words = set(re.findall(r"[A-Za-z0-9_-]{20,}", page.text + str(page.headers)))
        assert not {hashlib.sha256(word.encode()).digest() for word in words} & known


async def test_without_a_session_every_page_leads_to_the_sign_in(running: Dashboard) -> None:
    async with running.browser() as http:
        for path in ("/", "/engines", "/plugins", "/plugins/whisper_stt/engines", "/jobs", "/people", "/audit"):
            answer = await http.get(path)
            assert (answer.status_code, answer.headers.get("location")) == (307, "/login"), path


@pytest.mark.parametrize(("role", "start"), [("auditor", "/"), ("it", "/"), ("physician", "/login?why=role")])
async def test_a_role_gets_only_its_pages(running: Dashboard, role: str, start: str) -> None:
    async with running.browser() as http:
        assert (await running.sign_in(http, role)).headers["location"] == start
        jobs, audit = await http.get("/jobs"), await http.get("/audit")
    expected = {"auditor": (307, 200), "it": (200, 307), "physician": (307, 307)}[role]
    assert (jobs.status_code, audit.status_code) == expected


@pytest.mark.parametrize("origin", ["https://evil.example", "null", ""])
async def test_another_site_can_neither_sign_in_nor_out(running: Dashboard, origin: str) -> None:
    async with running.browser() as http:
        await running.sign_in(http, "admin")
        forged = {"Origin": origin}
        answers = [await http.post(path, headers=forged, data={"username": "x"}) for path in ("/login", "/logout")]
        assert [answer.status_code for answer in answers] == [403, 403]
        assert (await http.get("/")).status_code == 200


async def test_another_site_cannot_open_the_pages_socket(running: Dashboard) -> None:
    async with running.browser() as http:
        path = "/_nicegui_ws/socket.io/?EIO=4&transport=polling"
        own, foreign = await http.get(path), await http.get(path, headers={"Origin": "https://evil.example"})
    assert foreign.status_code == 400
    assert "access-control-allow-origin" not in foreign.headers
    assert own.status_code == 200


async def test_a_wrong_password_and_a_dead_core_are_told_apart(tmp_path: Path) -> None:
    async with dashboard(tmp_path) as one, one.browser() as http:
        wrong = await one.sign_in(http, "admin", "not it at all")
        shown = await http.get(wrong.headers["location"])
        await one.api.server.drain()
        dead = await one.sign_in(http, "admin")
    assert wrong.headers["location"] == "/login?why=wrong"
    assert "não conferem" in shown.text
    assert dead.headers["location"] == "/login?why=unreachable"


async def test_signing_out_ends_the_session_at_core_and_here(running: Dashboard) -> None:
    async with running.browser() as http:
        await running.sign_in(http, "admin")
        newest = "SELECT id, revoked_at FROM security_session ORDER BY rowid DESC LIMIT 1"
        opened = await running.api.store.read(lambda q: q.one(newest))
        left = await http.post("/logout")
        after = await http.get("/")
    ended = await running.api.store.read(lambda q: q.one(newest))
    assert left.headers["location"] == "/login"
    assert after.headers["location"] == "/login"
    assert opened is not None
    assert ended is not None
    assert (opened["revoked_at"], opened["id"]) == (None, ended["id"])
    assert ended["revoked_at"] is not None
