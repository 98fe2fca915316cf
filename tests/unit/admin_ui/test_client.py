from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from admin_ui.client import AdminClient, SignedOutError, sign_in
from admin_ui.feed import LiveFeed
from admin_ui.link import CoreLink, CoreRefusedError, CoreUnreachableError, client_context
from appliance.store import jobs
from tests.api.admin_harness import PASSWORD, AdminApi, admin_api

PATIENCE_S = 60.0


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[AdminApi]:
    async with admin_api(tmp_path) as serving:
        yield serving


@asynccontextmanager
async def link_to(api: AdminApi) -> AsyncIterator[CoreLink]:
    link = CoreLink(api.url, client_context(api.home.ca, api.certificate, api.key))
    try:
        yield link
    finally:
        await link.aclose()


@asynccontextmanager
async def person(api: AdminApi, role: str = "admin") -> AsyncIterator[AdminClient]:
    async with link_to(api) as link:
        yield await sign_in(link, await api.person(role), PASSWORD, "pt")


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110  polling is the point: the condition has no event
            await asyncio.sleep(0.02)


async def test_signing_in_tells_who_and_what_they_may(api: AdminApi) -> None:
    async with person(api, "auditor") as client:
        assert client.person.username == "auditor"
        assert client.permissions == {"audit.read", "node.read"}
        assert client.may("audit.read")
        assert not client.may("job.read")


async def test_a_wrong_password_is_refused_in_the_person_s_language(api: AdminApi) -> None:
    await api.person("admin")
    sentences = set()
    async with link_to(api) as link:
        for language in ("pt", "en"):
            with pytest.raises(CoreRefusedError) as refused:
                await sign_in(link, "admin", "not it", language)
            assert refused.value.status == 401
            sentences.add(refused.value.problem.detail)
    assert len(sentences) == 2


async def test_people_are_made_blocked_and_let_in_again(api: AdminApi) -> None:
    async with person(api) as client:
        made = await client.create_user("ana.souza", "Ana Souza", "physician", PASSWORD)
        blocked = await client.block_user(made.id, blocked=True)
        back = await client.block_user(made.id, blocked=False)
        names = [user.username for user in await client.users()]
    assert (made.role, made.disabled_at) == ("physician", None)
    assert blocked.disabled_at is not None
    assert back.disabled_at is None
    assert names == ["admin", "ana.souza"]


async def test_all_people_are_listed_beyond_one_page(api: AdminApi) -> None:
    for number in range(205):
        name = f"p{number:03d}"
        await api.store.write(
            lambda tx, name=name: api.identity.add_user(
                tx, username=name, role="nurse", display_name=name, password_hash=None
            )
        )
    async with person(api) as client:
        names = [user.username for user in await client.users()]
    assert names == sorted(["admin", *(f"p{number:03d}" for number in range(205))])


async def test_core_s_refusal_carries_its_sentence_and_next_step(api: AdminApi) -> None:
    async with person(api) as client:
        with pytest.raises(CoreRefusedError) as refused:
            await client.create_user("admin", "Outro", "nurse", PASSWORD)
    assert (refused.value.status, refused.value.problem.code) == (409, "user.exists")
    assert refused.value.problem.detail
    assert refused.value.problem.next_step


async def test_an_enrolment_code_names_this_node_and_expires(api: AdminApi) -> None:
    async with person(api) as client:
        own = await client.enrolment_code(client.person.id)
        shared = await client.enrolment_code(None)
    assert own.uri.startswith("prontuario://enrol?h=mac-a.local%3A8443&c=")
    assert own.code in own.uri
    assert own.code != shared.code


async def test_revoking_the_dashboard_s_own_device_signs_out_at_once(api: AdminApi) -> None:
    async with person(api) as client:
        devices = await client.devices()
        gone = await client.revoke_device(devices[0].id)
        with pytest.raises(SignedOutError):
            await client.users()
    assert [device.name for device in devices] == ["dashboard"]
    assert gone.revoked_at is not None


async def test_dead_jobs_are_requeued_and_discarded(api: AdminApi) -> None:
    ids = [await api.store.write(lambda tx: jobs.enqueue(tx, "care.transcribe", {})) for _ in range(2)]
    await api.store.write(lambda tx: tx.execute("UPDATE store_job SET state = 'dead', attempt = 8"))
    async with person(api) as client:
        assert {job.id for job in (await client.jobs("dead")).jobs} == set(ids)
        await client.requeue(ids[0])
        await client.discard(ids[1])
        left = await client.jobs("ready")
    assert (left.counts["ready"], left.counts["dead"]) == (1, 0)


async def test_the_audit_is_read_backwards_and_checked(api: AdminApi) -> None:
    async with person(api, "auditor") as client:
        for _ in range(4):
            await client.get("/api/admin/node", object)
        newest = await client.audit(limit=3)
        older = await client.audit(newest[-1].seq, 3)
        report = await client.audit_check()
    assert {row.user for row in newest} == {"auditor"}
    assert older[0].seq == newest[-1].seq - 1
    assert report.ok
    assert report.size >= newest[0].seq


@pytest.mark.parametrize("path", ["https://evil.example/x", "//evil.example/x", "api/x", "/\\evil.example", ""])
async def test_a_plugin_s_page_cannot_carry_the_token_elsewhere(api: AdminApi, path: str) -> None:
    async with person(api) as client:
        with pytest.raises(ValueError, match="not a path on core"):
            await client.get(path, object)


async def test_an_expired_token_renews_itself_once_for_all_who_wait(tmp_path: Path) -> None:
    async with admin_api(tmp_path, access_token_s=1.0) as api, person(api) as client:
        first = client._login
        await asyncio.sleep(1.2)
        answers = await asyncio.gather(*(client.get("/api/admin/node", object) for _ in range(8)))
        assert len(answers) == 8
        assert client._login.access_token != first.access_token
        with pytest.raises(CoreRefusedError):
            await client._link.call("POST", "/api/token/refresh", object, body={"refresh_token": "nobody's"})


async def test_signing_out_ends_the_session_at_core(api: AdminApi) -> None:
    async with person(api) as client:
        await client.sign_out()
        with pytest.raises(SignedOutError):
            await client.jobs("dead")


async def test_signing_out_of_a_dead_core_does_not_fail(tmp_path: Path) -> None:
    async with admin_api(tmp_path) as api:
        link = CoreLink(api.url, client_context(api.home.ca, api.certificate, api.key))
        client = await sign_in(link, await api.person("admin"), PASSWORD, "pt")
    await client.sign_out()
    with pytest.raises(CoreUnreachableError):
        await client.get("/api/admin/node", object)
    await link.aclose()


async def test_another_node_s_certificate_is_not_trusted(api: AdminApi, tmp_path: Path) -> None:
    async with admin_api(tmp_path / "other") as other:
        link = CoreLink(api.url, client_context(other.home.ca, other.certificate, other.key))
        with pytest.raises(CoreUnreachableError):
            await sign_in(link, "admin", PASSWORD, "pt")
        await link.aclose()


async def test_an_answer_that_core_would_not_give_is_no_answer(api: AdminApi) -> None:
    async with person(api) as client:
        with pytest.raises(CoreUnreachableError, match="unexpected"):
            await client.get("/api/admin/node", list[int])


async def test_the_feed_remembers_and_stops_when_nobody_looks(api: AdminApi) -> None:
    async with person(api) as client:
        feed = LiveFeed(client)
        await feed.first(PATIENCE_S)
        assert feed.latest is not None
        await until(lambda: len(feed.history) >= 2)
        assert (feed.history[-1].waiting, feed.history[-1].running) == (6, 4)
        assert feed.history[-1].requests_per_s is not None
        feed._watched_until = 0.0
        await until(lambda: feed._task is not None and feed._task.done())
        assert not feed.signed_out


async def test_the_feed_says_when_core_is_gone_and_comes_back_by_itself(tmp_path: Path) -> None:
    async with admin_api(tmp_path) as api:
        port = api.server.port
        link = CoreLink(api.url, client_context(api.home.ca, api.certificate, api.key))
        feed = LiveFeed(await sign_in(link, await api.person("admin"), PASSWORD, "pt"))
        await feed.first(PATIENCE_S)
    await until(lambda: feed.lost_since is not None)
    last = feed.latest
    assert last is not None
    async with admin_api(tmp_path, port=port):
        feed.watch()
        await until(lambda: feed.lost_since is None and feed.latest is not last)
        await feed.close()
    await link.aclose()


async def test_the_feed_ends_with_the_session(api: AdminApi) -> None:
    async with person(api) as client:
        await api.store.write(lambda tx: api.identity.end_sessions(tx, "logout", user_id=client.person.id))
        feed = LiveFeed(client)
        feed.watch()
        await until(lambda: feed.signed_out)
        feed.watch()
        assert feed._task is not None
        assert feed._task.done()
