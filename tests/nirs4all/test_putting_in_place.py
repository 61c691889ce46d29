"""How chainfold gets into the place: before or after the import, by the launcher, in workers."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from tests.conftest import check_consistency

from chainfold import ArtifactRegistry

VARIABLE = "CHAINFOLD_NIRS4ALL"
TRAIN = """
    def train(workspace):
        from sklearn.cross_decomposition import PLSRegression
        from sklearn.model_selection import KFold
        import numpy as np
        from nirs4all.data.dataset import SpectroDataset
        from nirs4all.pipeline import PipelineRunner
        dataset = SpectroDataset("wheat")
        measured = np.random.default_rng(1).random((30, 20))
        dataset.add_samples(measured, {"partition": "train"})
        dataset.add_targets(measured.sum(axis=1))
        runner = PipelineRunner(workspace_path=workspace, log_file=False, save_charts=False)
        runner.run([KFold(2), PLSRegression(2)], dataset)
"""


def run(script: str, folder: Path, *launcher: str, asked: str | None = None) -> str:
    """What a script prints; `asked` is the environment variable."""
    path = folder / "script.py"
    path.write_text(textwrap.dedent(script))
    command = [sys.executable, *launcher, str(path)]
    environment = {name: value for name, value in os.environ.items() if name != VARIABLE}
    if asked is not None:
        environment[VARIABLE] = asked
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment)  # noqa: PLW1510 - looked at
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def trained(workspace: Path) -> int:
    """How many models the log has, which is checked."""
    check_consistency(workspace)
    with ArtifactRegistry(workspace, "wheat") as registry:
        assert [each.status for each in registry.runs()] == ["committed"]
        return len(registry)


@pytest.mark.parametrize("order", ["before", "after"])
def test_it_does_not_matter_when_it_is_installed(order: str, tmp_path: Path) -> None:
    install = "from chainfold.integrations.nirs4all import install; install(); install()"
    lines = ["import nirs4all", install] if order == "after" else [install, "import nirs4all"]
    script = "\n".join([*lines, textwrap.dedent(TRAIN), "train('workspace')"])
    run(
        script
        + textwrap.dedent("""
            import sys
            for name, module in sys.modules.items():
                if name.startswith("nirs4all") and "artifact_persistence" not in name:
                    for key, value in vars(module).items():
                        home = getattr(value, "__module__", None) or ""
                        is_theirs = home.startswith("nirs4all.pipeline.storage.artifacts")
                        assert not is_theirs or "persistence" in home, (name, key)
        """),
        tmp_path,
    )
    assert trained(tmp_path / "workspace") == 2


def test_the_launcher_leaves_the_script_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("there = 'beside'")
    script = textwrap.dedent(TRAIN) + textwrap.dedent("""
        import sys
        from beside import there
        if __name__ == "__main__":
            train("workspace")
            print(there, sys.argv)
    """)
    told = run(script, tmp_path, "-m", "chainfold.integrations.nirs4all")
    assert f"beside ['{tmp_path / 'script.py'}']" in told
    assert trained(tmp_path / "workspace") == 2


def test_an_environment_variable_is_enough(tmp_path: Path) -> None:
    """Also for the workers of a script, and for what runs neither of them."""
    script = textwrap.dedent(TRAIN) + textwrap.dedent("""
        from joblib import Parallel, delayed

        def home(index):
            import nirs4all.pipeline.execution.orchestrator as module
            return module.ArtifactRegistry.__module__

        if __name__ == "__main__":
            train("workspace")
            print({home.partition(".")[0] for home in Parallel(n_jobs=2)(delayed(home)(i) for i in range(4))})
    """)
    assert "{'chainfold'}" in run(script, tmp_path, asked="1")
    assert trained(tmp_path / "workspace") == 2


@pytest.mark.parametrize("asked", [None, "0"])
def test_without_it_nothing_is_in_place(tmp_path: Path, asked: str | None) -> None:
    run(f"{textwrap.dedent(TRAIN)}\ntrain('workspace')", tmp_path, asked=asked)
    assert not (tmp_path / "workspace" / "log").exists()


def test_a_registry_takes_the_integration_into_workers(tmp_path: Path) -> None:
    """Also into one that has imported nirs4all on its own before."""
    run(
        """
        import copy
        from joblib import Parallel, delayed
        from chainfold.integrations.nirs4all import install

        def work(index, registry):
            from nirs4all.pipeline.storage.artifacts.artifact_registry import ArtifactRegistry
            from nirs4all.pipeline.execution.orchestrator import ArtifactRegistry as theirs
            assert type(registry) is ArtifactRegistry is theirs, (type(registry), theirs)
            path = f"s{index}.A"
            artifact_id = registry.generate_id(path, None, "0001_x")
            return registry.register([index], artifact_id, "model", format_hint="sklearn", chain_path=path)

        def before(index):
            import nirs4all.pipeline.execution.orchestrator as module
            return module.ArtifactRegistry.__module__

        if __name__ == "__main__":
            with Parallel(n_jobs=2) as parallel:
                homes = parallel(delayed(before)(i) for i in range(8))
                assert {home.partition(".")[0] for home in homes} == {"nirs4all"}
                install()
                from nirs4all.pipeline.storage.artifacts.artifact_registry import ArtifactRegistry
                registry = ArtifactRegistry("workspace", "wheat")
                registry.start_run()
                assert copy.deepcopy({"registry": registry})["registry"] is registry
                records = parallel(delayed(work)(i, registry) for i in range(20))
                registry.end_run()
            assert len(registry.get_all_records()) == 20
            assert {record.nirs4all_version for record in registry.get_all_records()} == {"0.6.2"}
        """,
        tmp_path,
    )
    assert trained(tmp_path / "workspace") == 20


def test_a_process_that_dies_half_way_is_taken_back(tmp_path: Path) -> None:
    script = textwrap.dedent(TRAIN) + textwrap.dedent("""
        import os
        from chainfold.integrations.nirs4all import install
        install()
        from nirs4all.pipeline.storage.artifacts.artifact_registry import ArtifactRegistry
        ArtifactRegistry.end_run = lambda self: os._exit(0)
        train("workspace")
    """)
    run(script, tmp_path)
    workspace = tmp_path / "workspace"
    with ArtifactRegistry(workspace, "wheat") as registry:
        assert len(registry) == 0
        assert [(each.status, each.reason) for each in registry.runs()] == [("rolled-back", "crash")]
        assert len(list(registry.events(kinds=["artifact-registered"]))) == 2
    check_consistency(workspace)


def test_after_an_interruption_the_next_run_works(tmp_path: Path) -> None:
    """As in a notebook: the process stays, and nobody sees what the interrupted run registered."""
    script = textwrap.dedent(TRAIN) + textwrap.dedent("""
        from chainfold import ArtifactRegistry
        from chainfold.integrations.nirs4all import install
        install()
        from nirs4all.pipeline.storage.artifacts import artifact_registry
        end_run = artifact_registry.ArtifactRegistry.end_run
        def interrupt(self):
            raise KeyboardInterrupt
        artifact_registry.ArtifactRegistry.end_run = interrupt
        try:
            train("workspace")
        except KeyboardInterrupt as error:
            kept = error
        with ArtifactRegistry("workspace", "wheat") as registry:
            assert len(registry) == 0
        artifact_registry.ArtifactRegistry.end_run = end_run
        train("workspace")
        with ArtifactRegistry("workspace", "wheat") as registry:
            assert len(registry) == 2
            print([run.status for run in registry.runs()])
    """)
    assert run(script, tmp_path).endswith("['open', 'committed']\n")
    workspace = tmp_path / "workspace"
    with ArtifactRegistry(workspace, "wheat") as registry, registry.run():
        pass
    with ArtifactRegistry(workspace, "wheat") as registry:
        assert [each.status for each in registry.runs()] == ["rolled-back", "committed", "committed"]
        assert len(registry) == 2
    check_consistency(workspace)


def test_bundles_are_imported_into_a_registry(tmp_path: Path) -> None:
    """nirs4all 0.6.2 calls a method that it has on another class: it is put where it is looked for."""
    script = textwrap.dedent("""
        from nirs4all.pipeline.bundle import BundleLoader
        from nirs4all.pipeline.storage.artifacts.artifact_registry import ArtifactRegistry
        import numpy as np
        from pathlib import Path
        from sklearn.cross_decomposition import PLSRegression
        from sklearn.model_selection import KFold
        from sklearn.preprocessing import MinMaxScaler
        from nirs4all.data.dataset import SpectroDataset
        from nirs4all.pipeline import PipelineRunner
        dataset = SpectroDataset("rye")
        for part, seed in (("train", 1), ("test", 2)):
            measured = np.random.default_rng(seed).random((30, 20))
            dataset.add_samples(measured, {"partition": part})
            dataset.add_targets(measured.sum(axis=1))
        runner = PipelineRunner(workspace_path="workspace", log_file=False, save_charts=False)
        predictions, _ = runner.run([MinMaxScaler(), KFold(2), PLSRegression(2)], dataset)
        runner.export(predictions.top(n=1, rank_partition="val")[0], "bundle.n4a")
        registry = ArtifactRegistry(Path("workspace"), "wheat")
        registry.start_run()
        bundle = BundleLoader("bundle.n4a")
        BundleLoader._load_artifact = lambda self, key: self.artifact_provider._load_artifact(key)
        ids = bundle.import_artifacts_to_registry(registry, new_pipeline_id="0007_imported")
        registry.end_run()
        new = np.random.default_rng(3).random((5, 20))
        got = []
        for key, artifact_id in sorted(ids.items()):
            loaded = registry.load_artifact(registry.resolve(artifact_id))
            print(key, artifact_id, type(loaded).__name__)
            if hasattr(loaded, "transform") and not hasattr(loaded, "predict"):
                scaled = loaded.transform(new)
            else:
                got.append(loaded.predict(scaled).ravel())
        whole = np.asarray(bundle.predict(new)).ravel()
        assert np.array_equal(np.mean(got, axis=0), whole), (got, whole)
    """)
    told = run(script, tmp_path, "-m", "chainfold.integrations.nirs4all")
    assert told.count("0007_imported$") == 3
    assert trained(tmp_path / "workspace") == 3
