"""How chainfold gets into the place, tried with a package of that name that has nothing but names.

tests/nirs4all tries it with nirs4all itself.
"""

import copy
import importlib.util
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from chainfold import InvalidInputError
from chainfold.integrations.nirs4all import install, installing
from chainfold.integrations.nirs4all.registry import ArtifactRegistry

VARIABLE = "CHAINFOLD_NIRS4ALL"
ARTIFACTS = "nirs4all.pipeline.storage.artifacts"
HOMES = """
import sys
from nirs4all.user import ArtifactRegistry, ArtifactLoader, untouched
from nirs4all.pipeline.storage.artifacts.artifact_registry import ArtifactRegistry as again
assert ArtifactRegistry is again
print(ArtifactRegistry.__module__, ArtifactLoader.__module__, untouched, sys.argv[1:])
"""
OURS = "chainfold.integrations.nirs4all.registry chainfold.integrations.nirs4all.loader mine"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder with the package."""
    return package(tmp_path / "site", "0.6.2")


def package(site: Path, version: str) -> Path:
    artifacts = site / "nirs4all" / "pipeline" / "storage" / "artifacts"
    artifacts.mkdir(parents=True)
    for folder in (artifacts, *list(artifacts.parents)[:3]):
        (folder / "__init__.py").touch()
    for module, name in (("artifact_registry", "ArtifactRegistry"), ("artifact_loader", "ArtifactLoader")):
        (artifacts / f"{module}.py").write_text(f"class {name}: pass\n")
    (site / "nirs4all" / "user.py").write_text(
        f"from {ARTIFACTS}.artifact_registry import ArtifactRegistry\n"
        f"from {ARTIFACTS}.artifact_loader import ArtifactLoader\n"
        "untouched = 'mine'\n"
    )
    about = site / f"nirs4all-{version}.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: nirs4all\nVersion: {version}\n")
    return site


def run(site: Path, *arguments: str, asked: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != VARIABLE}
    environment["PYTHONPATH"] = str(site)
    if asked is not None:
        environment[VARIABLE] = asked
    command = [sys.executable, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def told(site: Path, *arguments: str, asked: str | None = None) -> str:
    done = run(site, *arguments, asked=asked)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.strip()


@pytest.mark.parametrize("before", ["", "import nirs4all.user\n"])
def test_installing_changes_over_what_is_imported_and_what_will_be(site: Path, before: str) -> None:
    code = f"{before}from chainfold.integrations.nirs4all import install; install(); install()\n{HOMES}"
    assert told(site, "-c", code) == f"{OURS} []"


@pytest.mark.parametrize("asked", ["1", "yes", " True "])
def test_an_environment_variable_is_enough(site: Path, asked: str) -> None:
    assert told(site, "-c", HOMES, asked=asked) == f"{OURS} []"


@pytest.mark.parametrize("asked", [None, "", "0", "no", "False", "off"])
def test_without_it_nothing_is_in_place(site: Path, asked: str | None) -> None:
    expected = f"{ARTIFACTS}.artifact_registry {ARTIFACTS}.artifact_loader mine []"
    assert told(site, "-c", HOMES, asked=asked) == expected


def test_the_variable_costs_other_programs_next_to_nothing(site: Path) -> None:
    """Neither where nirs4all is not used, nor where it is not installed: no numbers, no log, no word."""
    code = "import sys; print(*(name for name in sys.modules if name.startswith(('chainfold', 'numpy'))))"
    modules = told(site / "none", "-c", code, asked="1").split()
    assert set(modules) == {
        "chainfold",
        "chainfold.errors",
        "chainfold.integrations",
        "chainfold.integrations.nirs4all",
        "chainfold.integrations.nirs4all.installing",
    }
    assert told(site, "-c", code) == ""


def test_the_launcher_runs_scripts_and_modules(site: Path, tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("there = True")
    script = tmp_path / "script.py"
    script.write_text(f"import beside\nassert __name__ == '__main__'\n{HOMES}")
    launcher = ("-m", "chainfold.integrations.nirs4all")
    assert told(site, *launcher, str(script), "-x", "y") == f"{OURS} ['-x', 'y']"
    (site / "program.py").write_text(HOMES)
    assert told(site, *launcher, "-m", "program", "z") == f"{OURS} ['z']"
    for wrong in ((), ("-m",), ("--what",)):
        done = run(site, *launcher, *wrong)
        assert done.returncode == 1
        assert done.stderr.startswith("usage: python -m chainfold.integrations.nirs4all (SCRIPT | -m MODULE)")


@pytest.mark.parametrize("version", ["0.5.1", "0.7.1", "1.4.10"])
def test_another_release_is_refused_when_it_is_imported(tmp_path: Path, version: str) -> None:
    """Its pipelines would fail half way, or go on without chainfold."""
    site = package(tmp_path / "site", version)
    said = f"takes the place of the registry of nirs4all 0.6, and this is {version}"
    done = run(site, "-c", "import nirs4all; print('imported')", asked="1")
    assert (done.returncode, done.stdout) == (1, "")
    assert said in done.stderr
    assert told(site, "-c", "print('no need of it')", asked="1") == "no need of it"
    for before in ("", "import nirs4all.user\n"):
        done = run(site, "-c", f"{before}from chainfold.integrations.nirs4all import install\ninstall()")
        assert done.returncode == 1
        assert said in done.stderr
    done = run(site, "-m", "chainfold.integrations.nirs4all", "-m", "nirs4all.user")
    assert done.returncode == 1
    assert done.stderr.startswith("Error: chainfold takes the place of")
    assert said in done.stderr


def test_a_later_patch_of_the_release_is_taken(tmp_path: Path) -> None:
    same = package(tmp_path / "same", "0.6.9")
    assert told(same, "-c", HOMES, asked="1") == f"{OURS} []"


def test_names_that_are_none_are_refused_before_anything_is_done(site: Path) -> None:
    code = (
        "import sys\nfrom chainfold.integrations.nirs4all import install\n"
        "try:\n    install(allow=['a b'])\nexcept ValueError as error:\n    print(error)\n" + HOMES
    )
    assert told(site, "-c", code).endswith(
        f"{ARTIFACTS}.artifact_registry {ARTIFACTS}.artifact_loader mine []"
    )


@pytest.mark.skipif(importlib.util.find_spec("nirs4all") is not None, reason="nirs4all is installed")
def test_where_it_is_not_installed_the_error_says_so() -> None:
    with pytest.raises(InvalidInputError, match=r"pip install nirs4all==0\.6\.2"):
        install()
    command = [sys.executable, "-m", "chainfold.integrations.nirs4all", "script.py"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "Error: nirs4all is not installed: pip install nirs4all==0.6.2\n"
    assert not any(type(finder).__module__ == installing.__name__ for finder in sys.meta_path)


def test_every_name_can_be_imported() -> None:
    """All that is offered is there, and none is a module's own."""
    offered = installing.offered()
    assert {name.rpartition(".")[2] for name in offered} == {
        "types", "operator_chain", "utils", "artifact_registry", "artifact_loader",
    }  # fmt: skip
    for names in offered.values():
        assert all(value.__module__.startswith("chainfold.") for value in names.values())


@pytest.fixture
def opened(workspace: Path) -> ArtifactRegistry:
    return ArtifactRegistry(workspace, "wheat", object(), "0001")


def test_copies_are_the_registry_itself_in_its_run(opened: ArtifactRegistry) -> None:
    """nirs4all copies its context at every step."""
    opened.start_run()
    assert copy.copy(opened) is copy.deepcopy({"registry": opened})["registry"] is opened
    opened.register([1], "a$0:all", "model")
    opened.end_run()
    opened.close()


def test_formats_that_are_none_of_ours_are_left_to_the_class(opened: ArtifactRegistry) -> None:
    """It names one by the framework of the step; its manager is told of nothing, whatever it is."""
    names = ["sklearn", "tensorflow", None, "pickle", "cloudpickle"]
    records = [
        opened.register([i], f"a$0:{i}", "model", format_hint=name, chain_path="s1.X")
        for i, name in enumerate(names)
    ]
    assert [opened.load_artifact(each) for each in records] == [[i] for i in range(5)]
    assert records[0].format == records[1].format == records[2].format
    assert [each.format for each in records[3:]] == ["pickle", "cloudpickle"]
    opened.close()


def test_a_pickled_registry_puts_chainfold_in_place_where_it_arrives(site: Path, tmp_path: Path) -> None:
    """And joins the run that it was sent from."""
    workspace = tmp_path / "workspace"
    code = (
        "import pickle, sys\n"
        "registry = pickle.loads(open(sys.argv[1], 'rb').read())\n"
        "from nirs4all.user import ArtifactRegistry\n"
        "assert type(registry) is ArtifactRegistry\n"
        "record = registry.register([1], registry.generate_id('s1.X', 0), 'model', chain_path='s1.X')\n"
        "print(record.artifact_id, record.nirs4all_version)\n"
        "registry.close()\n"
    )
    with ArtifactRegistry(workspace, "wheat", pipeline_id="0001") as registry:
        registry.start_run()
        sent = tmp_path / "registry.pickle"
        sent.write_bytes(pickle.dumps(registry))
        artifact_id, version = told(site, "-c", code, str(sent)).split()
        with ArtifactRegistry(workspace, "wheat") as other:
            assert other.resolve(artifact_id) is None  # not before the run commits
        registry.end_run()
        assert registry.load(artifact_id) == [1]
        assert version == "0.6.2"


@pytest.mark.parametrize("allow", [3, "package.Class", None])
def test_what_is_allowed_are_names(allow: Any) -> None:
    with pytest.raises(InvalidInputError, match="allow takes names"):
        install(allow=allow)
