"""Tests of building and starting nodes, with small programs in the place of Maven and Java; and of the real nodes."""

import json
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.engines import nodes
from tests.engines.jdk import Jdk
from tests.engines.nodes import BuildFailed, Engine, EngineUnavailable, Node, build, is_built, run_node


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    """An engine of one source file that nobody has built."""
    project = tmp_path / "project"
    (project / "src").mkdir(parents=True)
    (project / "pom.xml").write_text("<version>1</version>")
    (project / "src" / "Main.java").write_text("class Main {}")
    return Engine(name="tiny", project=project, main="Main", classpath=("*.jar",))


def program(path: Path, *lines: str) -> Path:
    """Write an executable shell script."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(("#!/bin/sh", *lines, "")))
    path.chmod(0o755)
    return path


def jdk_that(tmp_path: Path, *lines: str) -> Jdk:
    """Return a JDK whose `java` is a shell script of these lines."""
    return Jdk(home=program(tmp_path / "jdk" / "bin" / "java", *lines).parent.parent, version=21)


def test_a_build_is_done_once_and_again_after_a_change(engine: Engine, tmp_path: Path) -> None:
    """The build counts while the project's files have the contents that were built."""
    maven = program(tmp_path / "mvn", "mkdir target")
    build(engine, jdk_that(tmp_path), maven=str(maven))
    assert is_built(engine)
    (engine.project / "pom.xml").write_text("<version>2</version>")
    assert not is_built(engine)


def test_a_build_leaves_nothing_of_the_one_before(engine: Engine, tmp_path: Path) -> None:
    """A jar of an older version would be loaded beside the new one."""
    engine.target.mkdir()
    (engine.target / "old.jar").touch()
    build(engine, jdk_that(tmp_path), maven=str(program(tmp_path / "mvn", "mkdir target")))
    assert not (engine.target / "old.jar").exists()


def test_maven_runs_with_the_jdk_that_was_found(engine: Engine, tmp_path: Path) -> None:
    """Maven compiles with JAVA_HOME, whatever `java` on PATH is."""
    jdk = jdk_that(tmp_path)
    build(engine, jdk, maven=str(program(tmp_path / "mvn", 'mkdir target && printf %s "$JAVA_HOME" >target/home')))
    assert (engine.target / "home").read_text() == str(jdk.home)


def test_a_failed_build_is_tried_again(engine: Engine, tmp_path: Path) -> None:
    """A download that broke once costs a second try, not the tests."""
    maven = program(tmp_path / "mvn", "test -e ../tried || { touch ../tried; exit 1; }", "mkdir -p target")
    build(engine, jdk_that(tmp_path), maven=str(maven))
    assert is_built(engine)


def test_a_build_that_keeps_failing_says_what_maven_said(engine: Engine, tmp_path: Path) -> None:
    """The message carries Maven's own words, and the engine does not count as built."""
    maven = program(tmp_path / "mvn", "echo cannot resolve", "exit 1")
    with pytest.raises(BuildFailed, match=r"tiny was not built, 2 tries:\ncannot resolve"):
        build(engine, jdk_that(tmp_path), maven=str(maven))
    assert not is_built(engine)


def test_without_a_jdk_the_reason_is_that(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message is what a skipped test shows."""
    monkeypatch.setattr(nodes, "find_jdk", lambda: None)
    with pytest.raises(EngineUnavailable, match=r"^no JDK 21$"), run_node(engine):
        pass


def test_without_a_build_the_reason_says_what_to_run(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tests never build, so they say who does; without Maven they name that."""
    monkeypatch.setattr(nodes, "find_jdk", lambda: jdk_that(tmp_path))
    program(tmp_path / "bin" / "mvn")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(EngineUnavailable, match=r"^not built, run: make engines$"), run_node(engine):
        pass
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EngineUnavailable, match=r"^not built, and no Maven$"), run_node(engine):
        pass


@pytest.fixture
def built(engine: Engine, tmp_path: Path) -> Engine:
    """The same engine, built."""
    build(engine, jdk_that(tmp_path), maven=str(program(tmp_path / "mvn", "mkdir target")))
    return engine


def test_a_node_runs_until_the_block_ends(built: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first line of JSON names it, lines before that are passed over, and it ends when its stdin closes."""
    jdk = jdk_that(
        tmp_path,
        "echo a warning of the JVM",
        """echo '{"url": "http://127.0.0.1:1", "version": "1.0"}'""",
        "cat",
        f"touch {tmp_path}/closed",
    )
    monkeypatch.setattr(nodes, "find_jdk", lambda: jdk)
    with run_node(built) as node:
        assert node == Node(url="http://127.0.0.1:1", version="1.0")
        assert not (tmp_path / "closed").exists()
    assert (tmp_path / "closed").exists()


def test_a_node_that_does_not_start_shows_its_log(
    built: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That is an error and no reason to skip: somebody has to see it."""
    monkeypatch.setattr(nodes, "find_jdk", lambda: jdk_that(tmp_path, "echo no such port >&2", "exit 3"))
    with pytest.raises(RuntimeError, match=r"tiny did not start \(exit code 3\):\nno such port"), run_node(built):
        pass


def test_settings_and_heap_reach_the_node(built: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the caller sets comes after the main class, and the heap before it."""
    jdk = jdk_that(
        tmp_path, f'printf "%s " "$@" >{tmp_path}/arguments', """echo '{"url": "u", "version": "v"}'""", "cat"
    )
    monkeypatch.setattr(nodes, "find_jdk", lambda: jdk)
    with run_node(built, heap="64m", settings={"http.compression": "false"}):
        arguments = (tmp_path / "arguments").read_text()
    assert arguments.startswith("-Xms64m -Xmx64m ")
    assert arguments.endswith(" Main http.compression=false ")


def test_each_real_engine_says_who_it_is(engine_url: str) -> None:
    """The node that the fixtures give answers as the engine that it is."""
    with urlopen(engine_url) as answer:
        about = json.load(answer)
        is_elasticsearch = answer.headers["X-elastic-product"] == "Elasticsearch"
    assert is_elasticsearch == (about["version"].get("distribution") != "opensearch")
    assert about["tagline"].startswith(("You Know, for Search", "The OpenSearch Project"))
