"""Reranking settings that change while the program runs."""

import asyncio
import json
import logging
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from sidecar.errors import ConfigError
from sidecar.program.config import Settings, load
from sidecar.program.live import POLICIES_PATH, LivePolicies, key_of, may_put
from sidecar.proxy.endpoints import EndpointRequest, EndpointResponse
from sidecar.rerank_api.api_key import ApiKey

BOOKS: dict[str, Any] = {"indices": ["books*"], "name": "books", "percent": 5}


class Program:
    """Settings in force, and every change of them."""

    def __init__(self, settings: Settings, path: Path | None = None, in_force: Settings | None = None) -> None:
        """Begin with `settings`; `path` is the file that is read again."""
        self.used: list[Settings] = []
        self.changed = asyncio.Event()
        read = None if path is None else lambda: load(path)
        self.live = LivePolicies(settings, self._use, read, in_force=in_force)

    async def _use(self, settings: Settings) -> None:
        self.used.append(settings)
        self.changed.set()

    async def ask(
        self, method: str, body: Any = None, *, key: ApiKey | None = None, may_put: bool = True, **headers: str
    ) -> EndpointResponse:
        """Ask the endpoint; a string is sent as it is."""
        endpoint = self.live.endpoints(key or ApiKey(None), may_put=may_put)[method, POLICIES_PATH]
        content = (body if isinstance(body, str) else json.dumps(body)).encode()
        pairs = tuple(headers.items())
        return await endpoint(EndpointRequest(method=method, path=POLICIES_PATH, headers=pairs, body=content))

    async def in_force(self) -> Any:
        """What the endpoint says."""
        return json.loads((await self.ask("GET")).body)


def reason(answer: EndpointResponse) -> str:
    """Return why something was refused, in the engine's shape."""
    told: str = json.loads(answer.body)["error"]["root_cause"][0]["reason"]
    return told


# --- put ----------------------------------------------------------------------------------------------------


async def test_what_is_put_is_in_force() -> None:
    """Sections that are not given stay; a section that is given is replaced as a whole; what GET says can be put."""
    program = Program(Settings(rerank={"window": 50, "mode": "observe"}, policies=[BOOKS]))
    before = await program.in_force()
    assert {"rerank": {"window": 50, "mode": "observe"}, "policies": [BOOKS], "experiment": {}} == before
    answer = await program.ask("PUT", {"rerank": {"percent": 20}})
    assert 200 == answer.status
    assert {"rerank": {"percent": 20}, "policies": [BOOKS], "experiment": {}} == json.loads(answer.body)
    options = program.used[-1].policy().defaults
    assert (20, 100, "apply") == (options.percent, options.window, options.mode)
    assert 200 == (await program.ask("PUT", before)).status
    assert before == await program.in_force()


async def test_a_digest_tells_whether_the_same_is_in_force() -> None:
    """Of two processes, or of two moments."""
    program = Program(Settings(policies=[BOOKS]))
    first = program.live.digest
    assert (("ETag", f'"{first}"'),) == (await program.ask("GET")).headers
    await program.ask("PUT", {"policies": []})
    assert first != program.live.digest
    await program.ask("PUT", {"policies": [BOOKS]})
    assert first == program.live.digest


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("{", "request: is no JSON: "),
        ("\xff", "request: is no JSON: "),
        ([], "request: expected an object with rerank, policies, experiment"),
        ({"engine": {}}, "request: engine cannot change while the program runs; rerank, policies, experiment can"),
        ({"rerank": {"windw": 1}}, "request: rerank.windw is not known; known here are "),
        ({"rerank": {"percent": 101}}, "request: rerank.percent: input should be less than or equal to 100, got 101"),
        ({"rerank": {"mode": "on"}}, "request: rerank.mode: input should be 'apply' or 'observe', got 'on'"),
        ({"policies": [{"percent": 5}]}, "request: policies.0.indices: field required"),
        (
            {"policies": [{"indices": ["a"], "model": "new"}]},
            "policies: model new was not loaded at start: restart the program to have it",
        ),
        (
            {"rerank": {"score_cache": True}},
            "score_cache: no policy had one at start: restart the program to have it",
        ),
    ],
)
async def test_a_broken_policy_changes_nothing_and_is_told_why(
    body: Any, message: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever is wrong with it, also when other parts of the request are right."""
    program = Program(Settings(policies=[BOOKS]))
    before = await program.in_force()
    sent = {"experiment": {"user_header": "X-Me"}, **body} if isinstance(body, dict) else body
    answer = await program.ask("PUT", sent)
    assert 400 == answer.status
    assert reason(answer).startswith(message)
    assert (before, []) == (await program.in_force(), program.used)


async def test_models_and_memory_that_are_there_can_be_named() -> None:
    """By any policy."""
    program = Program(Settings(policies=[{"indices": ["a"], "model": "small", "score_cache": True}]))
    await program.live.put({"rerank": {"prune_model": "small", "score_cache": True}, "policies": []})
    assert ["small"] == program.live.settings.model_names()


async def test_what_was_made_at_start_is_known_whatever_is_in_force() -> None:
    """A front that is started anew under other policies has the models of the program's start."""
    first = Settings(policies=[{"indices": ["a"], "model": "small"}])
    program = Program(first, in_force=first.with_live({"policies": []}))
    assert () == program.live.settings.policies
    assert 200 == (await program.ask("PUT", {"policies": first.live()["policies"]})).status


async def test_the_key_is_asked_for() -> None:
    """To see and to change."""
    program = Program(Settings())
    key = key_of(Settings(admin={"key": "sesame"}))
    for method in ("GET", "PUT"):
        refused = await program.ask(method, {}, key=key)
        assert (401, "Bearer") == (refused.status, dict(refused.headers)["WWW-Authenticate"])
        assert b"admin.key" in refused.body
        assert b"sesame" not in refused.body
        assert 200 == (await program.ask(method, {}, key=key, Authorization="Bearer sesame")).status


@pytest.mark.parametrize(
    ("admin", "expected"),
    [
        ({}, True),
        ({"listen": "127.0.0.1:1"}, True),
        ({"listen": "localhost:1"}, True),
        ({"listen": "[::1]:1"}, True),
        ({"listen": "unix:/run/admin.sock"}, True),
        ({"listen": ":9282"}, False),
        ({"listen": "10.0.0.1:9282"}, False),
        ({"listen": "node-1:9282"}, False),
        ({"listen": ":9282", "key": "sesame"}, True),
    ],
)
def test_without_a_key_only_this_machine_may_change_policies(admin: Any, expected: bool) -> None:
    """Probes and metrics are often wanted from elsewhere."""
    assert expected is may_put(Settings(admin=admin))


async def test_who_may_not_put_is_told_how_to() -> None:
    """And may look."""
    program = Program(Settings())
    answer = await program.ask("PUT", {"policies": []}, may_put=False)
    assert (403, True) == (answer.status, "set admin.key" in reason(answer))
    assert 200 == (await program.ask("GET", may_put=False)).status
    assert [] == program.used


# --- the file -----------------------------------------------------------------------------------------------


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A configuration file."""
    path = tmp_path / "sidecar.toml"
    path.write_text('[[policies]]\nindices = ["books*"]\nmode = "observe"\n', encoding="utf-8")
    return path


def rewrite(path: Path, text: str | None) -> None:
    """Change the file, or take it away."""
    path.unlink() if text is None else path.write_text(text, encoding="utf-8")


async def test_the_file_is_read_again(path: Path) -> None:
    """It wins over what was put before, and takes away what it does not say."""
    program = Program(load(path), path)
    await program.live.put({"rerank": {"window": 7}})
    rewrite(path, '[[policies]]\nindices = ["books*"]\npercent = 5\n')
    await program.live.read_again()
    assert {"rerank": {}, "policies": [{"indices": ["books*"], "percent": 5}], "experiment": {}} == (
        await program.in_force()
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[policies]]\nindices = 3\n", "policies.0.indices: input should be a valid tuple, got 3"),
        ("[[policies\n", "is no TOML"),
        ('[[policies]]\nindices = ["a"]\nmodel = "new"\n', "policies: model new was not loaded at start"),
        (None, "cannot be read: No such file or directory"),
    ],
)
async def test_a_broken_file_changes_nothing_and_the_log_says_why(
    path: Path, text: str | None, message: str, caplog: pytest.LogCaptureFixture
) -> None:
    """In one line."""
    program = Program(load(path), path)
    rewrite(path, text)
    await program.live.read_again()
    assert [] == program.used
    assert "observe" == program.live.settings.policy().options("books").mode
    (record,) = caplog.records
    assert record.getMessage().startswith("policies_refused source=file error=")
    assert message in record.getMessage()
    assert "\n" not in record.getMessage()


async def test_what_needs_a_restart_is_named(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """And is not taken; the policies are."""
    program = Program(load(path), path)
    rewrite(path, 'max_searches = 3\n[engine]\nurl = "http://other:9200"\n')
    with caplog.at_level(logging.WARNING):
        await program.live.read_again()
    assert ["settings_need_restart names=max_searches,engine"] == [each.getMessage() for each in caplog.records]
    assert (128, (), ["http://localhost:9200"]) == (
        program.used[-1].max_searches,
        program.used[-1].policies,
        program.used[-1].engine.urls,
    )


async def test_sighup_reads_it(path: Path) -> None:
    """While somebody listens."""
    program = Program(load(path), path)
    rewrite(path, '[[policies]]\nindices = ["books*"]\nenabled = false\n')
    with program.live.listening_to_sighup():
        os.kill(os.getpid(), signal.SIGHUP)
        async with asyncio.timeout(5):
            await program.changed.wait()
    assert not program.live.settings.policy().options("books").enabled


async def test_without_a_configuration_to_read_there_is_nothing_to_listen_to() -> None:
    """The signal does what it always does."""
    before = signal.getsignal(signal.SIGHUP)
    program = Program(Settings())
    with program.live.listening_to_sighup():
        assert before == signal.getsignal(signal.SIGHUP)
    await program.live.read_again()
    assert [] == program.used


async def test_two_changes_at_once_come_one_after_the_other() -> None:
    """The last one is in force, whole."""
    program = Program(Settings())
    await asyncio.gather(*(program.live.put({"rerank": {"window": window}}) for window in range(1, 20)))
    assert [each.rerank.window for each in program.used][-1] == program.live.settings.rerank.window
    with pytest.raises(ConfigError):
        await program.live.put({"rerank": {"window": 0}})
    assert 19 == len(program.used)


# --- models that are new ------------------------------------------------------------------------------------


class WithModels(Program):
    """A program that can load models, each when the test lets it."""

    def __init__(self, settings: Settings) -> None:
        """Begin."""
        super().__init__(settings)
        self.loaded: dict[str, asyncio.Event] = {}
        self.asked = asyncio.Event()
        self.live = LivePolicies(settings, self._use, prepare=self._prepare)

    async def _prepare(self, settings: Settings) -> None:
        for name in settings.model_names():
            if name == "broken":
                raise ConfigError("policies: model broken cannot be had: no such folder")
            self.loaded.setdefault(name, asyncio.Event())
            self.asked.set()
            await self.loaded[name].wait()


def with_model(name: str) -> dict[str, Any]:
    """Return sections that name a model."""
    return {"policies": [{"indices": ["a"], "model": name}]}


async def test_a_model_that_is_new_is_loaded_before_anything_changes() -> None:
    """What is asked meanwhile and needs none is done at once, such as switching off."""
    program = WithModels(Settings(rerank={"window": 50}))
    change = asyncio.ensure_future(program.ask("PUT", with_model("new")))
    await program.asked.wait()
    assert [] == program.used
    assert 200 == (await program.ask("PUT", {"rerank": {"enabled": False}})).status
    program.loaded["new"].set()
    assert 200 == (await change).status
    in_force = program.used[-1]
    assert (False, ["new"]) == (in_force.rerank.enabled, in_force.model_names())


async def test_of_two_changes_of_a_section_the_later_one_holds() -> None:
    """Whichever takes longer; who came first is told."""
    program = WithModels(Settings())
    change = asyncio.ensure_future(program.ask("PUT", with_model("new")))
    await program.asked.wait()
    assert 200 == (await program.ask("PUT", {"policies": []})).status
    program.loaded["new"].set()
    answer = await change
    assert 400 == answer.status
    assert "request: a later change of the same sections is in force" == reason(answer)
    assert [()] == [each.policies for each in program.used]


async def test_a_model_that_cannot_be_had_changes_nothing() -> None:
    """And the answer says why."""
    program = WithModels(Settings())
    answer = await program.ask("PUT", with_model("broken"))
    assert (400, "policies: model broken cannot be had: no such folder") == (answer.status, reason(answer))
    assert [] == program.used


async def test_a_front_learns_where_scorers_are() -> None:
    """From its parent, beside the sections."""
    learned: dict[str, str] = {}
    program = Program(Settings())
    program.live = LivePolicies(Settings(), program._use, learn=learned.update)
    body = {"rerank": {"window": 5}, "scorers": {"new": "unix:/somewhere"}}
    assert 200 == (await program.ask("PUT", body)).status
    assert ({"new": "unix:/somewhere"}, 5) == (learned, program.used[-1].rerank.window)
