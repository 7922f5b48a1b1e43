"""Tests of the search for a JDK."""

from pathlib import Path

from tests.engines.jdk import find_jdk


def install(home: Path, version: str, *, programs: tuple[str, ...] = ("java", "javac")) -> Path:
    """Make a folder that looks like a JDK of this version."""
    (home / "bin").mkdir(parents=True)
    for program in programs:
        (home / "bin" / program).touch(mode=0o755)
    (home / "release").write_text(f'IMPLEMENTOR="x"\nJAVA_VERSION="{version}"\nJAVA_VERSION_DATE="2025-01-01"\n')
    return home


def found(environment: dict[str, str], *folders: Path) -> Path | None:
    """Return the folder of the JDK that is found, with these as the only usual folders."""
    jdk = find_jdk(environment, tuple(f"{folder}/*" for folder in folders))
    return jdk.home if jdk else None


def test_java_home_wins_over_a_newer_one(tmp_path: Path) -> None:
    """What the caller chose is used when it is new enough."""
    chosen = install(tmp_path / "chosen", "21.0.2")
    install(tmp_path / "usual" / "newer", "25.0.3")
    assert chosen == found({"JAVA_HOME": str(chosen)}, tmp_path / "usual")


def test_java_on_path_is_followed_to_its_jdk(tmp_path: Path) -> None:
    """A link on PATH, as Debian's alternatives make it, leads to the JDK's own folder."""
    home = install(tmp_path / "jdk", "21")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "java").symlink_to(home / "bin" / "java")
    assert home == found({"PATH": str(tmp_path / "bin")})


def test_a_choice_that_is_too_old_is_passed_over(tmp_path: Path) -> None:
    """JAVA_HOME with Java 17 does not hide a newer JDK in a usual folder."""
    old = install(tmp_path / "old", "17.0.15")
    new = install(tmp_path / "usual" / "new", "21.0.2")
    assert new == found({"JAVA_HOME": str(old)}, tmp_path / "usual")


def test_the_newest_of_the_usual_folders_is_used(tmp_path: Path) -> None:
    """Versions are compared as numbers, in whatever folder they are."""
    install(tmp_path / "a" / "one", "1.8.0_372")
    install(tmp_path / "a" / "two", "21.0.2")
    newest = install(tmp_path / "b" / "three", "100")
    assert newest == found({}, tmp_path / "a", tmp_path / "b")


def test_without_a_jdk_that_is_new_enough_there_is_none(tmp_path: Path) -> None:
    """Old ones, runtimes without a compiler, and folders that are no JDK at all do not count."""
    install(tmp_path / "java-8", "1.8.0_372")
    install(tmp_path / "runtime", "21", programs=("java",))
    (tmp_path / "something-else").mkdir()
    assert found({"JAVA_HOME": str(tmp_path / "missing"), "PATH": ""}, tmp_path) is None
