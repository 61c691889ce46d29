"""Commands that check, commit and prove: verify, checkpoint, prove, rebuild, doctor, completion."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.cli_running import as_json, chainfold, contents, environment, fill, process

from chainfold import ArtifactRegistry
from chainfold.cli import symptoms
from chainfold.proof.model_verifier import main as model_verifier
from chainfold.proof.notes import PublicKey, opened

OWNER = """
import sys, time
from chainfold import ArtifactRegistry

registry = ArtifactRegistry(sys.argv[1], "wheat")
registry.start_run()
registry.register([1], "x:1:all", "model")
print("open", flush=True)
time.sleep(600)
"""


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CHAINFOLD_DATASET", raising=False)
    monkeypatch.setenv("CHAINFOLD_WORKSPACE", str(tmp_path / "workspace"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def ids(registry: ArtifactRegistry) -> dict[str, str]:
    return fill(registry)


def blob_of(registry: ArtifactRegistry, artifact_id: str) -> Path:
    return registry.binaries_dir / registry.require(artifact_id).path


class TestVerify:
    def test_all_holds(self, ids: dict[str, str], workspace: Path) -> None:
        before = contents(workspace)
        done = chainfold("verify")
        assert done.exit_code == 0
        assert "all holds" in done.stdout
        assert chainfold("verify", "-q").stdout == ""
        assert as_json("verify")["artifacts"] == 5
        assert as_json("verify", "--no-blobs")["artifacts"] == 0
        assert as_json("verify", "production")["only"] == [ids["model"]]
        assert contents(workspace) == before

    @pytest.mark.damages
    @pytest.mark.parametrize("names", [[], ["production"]])
    def test_a_mismatch(self, ids: dict[str, str], registry: ArtifactRegistry, names: list[str]) -> None:
        path, record = blob_of(registry, ids["model"]), registry.require(ids["model"])
        path.write_bytes(b"other bytes")
        done = chainfold("verify", *names)
        assert done.exit_code == 1
        found = "sha256:" + hashlib.sha256(b"other bytes").hexdigest()
        assert f"expected  {record.content_hash.removeprefix('sha256:')}\n" in done.stdout
        assert f"found     {found.removeprefix('sha256:')}\n" in done.stdout
        assert record.path in done.stdout
        assert chainfold("verify", *names, "-q").stdout == f"{ids['model']}\n"
        result = chainfold("verify", *names, "--format", "json")
        (finding,) = [each for each in json.loads(result.stdout)["findings"] if each["level"] == "error"]
        assert (finding["expected"], finding["found"]) == (record.content_hash, found)
        assert chainfold("verify", "--no-blobs").exit_code == 0
        assert chainfold("verify", ids["other"]).exit_code == 0

    @pytest.mark.damages
    def test_a_missing_file(self, ids: dict[str, str], registry: ArtifactRegistry) -> None:
        blob_of(registry, ids["stack"]).unlink()
        done = chainfold("verify", "-")
        assert done.exit_code == 0  # of nothing
        done = chainfold("verify", "-", text=f"{ids['other']}\n{ids['stack']}\n")
        assert done.exit_code == 1
        assert "found     nothing\n" in done.stdout
        assert "2 artifacts" in done.stdout

    @pytest.mark.damages
    def test_a_damaged_log(self, ids: dict[str, str], registry: ArtifactRegistry, workspace: Path) -> None:
        registry.close()
        (segment,) = (workspace / "log" / "wheat" / "segments").iterdir()
        segment.write_bytes(segment.read_bytes().replace(b"MinMax", b"minmax", 1))
        for more in ([], ["--no-blobs"]):
            done = chainfold("verify", *more)
            assert done.exit_code == 1
            assert done.output.count("its sum is wrong") == 1
            line = segment.read_bytes().splitlines()[int(done.stdout.partition("entry ")[2].split()[0])]
            assert f"expected  {line[-18:-2].decode()}\n  found     " in done.stdout

    @pytest.mark.damages
    def test_since_a_checkpoint(
        self, ids: dict[str, str], registry: ArtifactRegistry, workspace: Path, tmp_path: Path
    ) -> None:
        assert chainfold("checkpoint", "-o", "kept").exit_code == 0
        registry.register([1], "0009:1:all", "model")
        assert chainfold("verify", "--since", "kept").exit_code == 0
        registry.close()
        shutil.rmtree(workspace)
        with ArtifactRegistry(workspace, "wheat", pipeline_id="0001_pls") as other:
            fill(other)
        done = chainfold("verify", "--since", "kept", "--no-blobs")
        assert done.exit_code == 1
        assert "Error (rewritten)" in done.stdout
        assert chainfold("verify").exit_code == 0  # it agrees with itself
        (tmp_path / "none").write_text("no checkpoint")
        assert chainfold("verify", "--since", "none").exit_code == 65
        assert chainfold("verify", "--since", "missing").exit_code == 66
        assert chainfold("verify", "--since", "kept", "production").exit_code == 2

    def test_going_on_after_ctrl_c(
        self, ids: dict[str, str], registry: ArtifactRegistry, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def interrupt(*_: int) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            patched.setattr("chainfold.cli.progress.Step.at", interrupt)
            done = chainfold("verify")
        assert done.exit_code == 130
        note = "nothing was found wrong with 5 artifacts; `chainfold verify` goes on with --after "
        assert note in done.stderr
        place = done.stderr.rstrip().rpartition(" ")[2]
        registry.register([1], "0009:1:all", "model")
        found = as_json("verify", "--after", place)
        assert (found["artifacts"], found["after"], found["ok"]) == (1, place, True)
        assert "artifacts after" in chainfold("verify", "--after", place).stdout
        assert as_json("verify", "--after", "2000-01-01")["artifacts"] == 6
        assert chainfold("verify", "--after", "1000").exit_code == 66
        for more in (["production"], ["--no-blobs"]):
            assert chainfold("verify", "--after", "1", *more).exit_code == 2


class TestCheckpoint:
    def test_what_the_registry_says(
        self, ids: dict[str, str], registry: ArtifactRegistry, workspace: Path
    ) -> None:
        before = contents(workspace)
        assert chainfold("checkpoint").stdout == registry.as_of(registry.position).checkpoint()
        shutil.rmtree(workspace / "log" / "wheat" / "tiles")  # the registry's
        assert {**contents(workspace)}.keys() == before.keys()
        assert chainfold("checkpoint", "--at", "3").stdout == registry.as_of(3).checkpoint()
        assert chainfold("checkpoint", "-q").stdout == registry.checkpoint()

    def test_writes_a_file_once(
        self, ids: dict[str, str], registry: ArtifactRegistry, tmp_path: Path
    ) -> None:
        assert chainfold("checkpoint", "-o", "kept").stdout == ""
        assert (tmp_path / "kept").read_text() == registry.checkpoint()
        (tmp_path / "kept").write_text("mine")
        assert chainfold("checkpoint", "-o", "kept").exit_code == 65
        assert (tmp_path / "kept").read_text() == "mine"
        assert chainfold("checkpoint", "-o", "kept", "--force").exit_code == 0
        assert sorted(each.name for each in tmp_path.iterdir()) == ["kept", "workspace"]

    def test_signed(self, ids: dict[str, str], tmp_path: Path) -> None:
        made = chainfold("checkpoint", "--make-key", "lab/wheat", "--key-file", "key")
        key = PublicKey.parse(made.stdout)
        assert chainfold("checkpoint", "--public-key", "--key-file", "key").stdout == made.stdout
        assert chainfold("checkpoint", "--key-file", "key", "-o", "kept").exit_code == 0
        assert key.has_signed(*opened((tmp_path / "kept").read_bytes()))
        if os.name == "posix":
            assert (tmp_path / "key").stat().st_mode & 0o077 == 0
        before = (tmp_path / "key").read_bytes()
        again = chainfold("checkpoint", "--make-key", "lab/wheat", "--key-file", "key", "--force")
        assert again.exit_code == 65  # no key is written over
        assert (tmp_path / "key").read_bytes() == before
        assert chainfold("verify", "--since", "kept").exit_code == 0

    def test_a_key_that_is_none_is_not_repeated(self, ids: dict[str, str], tmp_path: Path) -> None:
        (tmp_path / "key").write_text("PRIVATE+KEY+mine+00000000+secret")
        for content in (b"PRIVATE+KEY+mine+00000000+c2VjcmV0", b"\xff", b"secret"):
            (tmp_path / "key").write_bytes(content)
            done = chainfold("checkpoint", "--key-file", "key")
            assert done.exit_code == 65
            assert "secret" not in done.stderr
            assert "c2VjcmV0" not in done.stderr
        assert chainfold("checkpoint", "--key-file", "none").exit_code == 66
        assert chainfold("checkpoint", "--public-key").exit_code == 2

    def test_keeps_hashes_if_asked(self, ids: dict[str, str], workspace: Path) -> None:
        chainfold("checkpoint")
        assert not (workspace / "log" / "wheat" / "tiles").exists()
        assert chainfold("checkpoint", "--keep-hashes").exit_code == 0
        assert (workspace / "log" / "wheat" / "tiles" / "0").exists()

    def test_hashes_of_another_log_stay_where_nothing_is_written(
        self, ids: dict[str, str], registry: ArtifactRegistry, workspace: Path
    ) -> None:
        wanted = registry.checkpoint()
        tiles = workspace / "log" / "wheat" / "tiles" / "0"
        tiles.write_bytes(b"\x01" * 32 * 100)
        assert chainfold("checkpoint").stdout == wanted
        assert tiles.read_bytes() == b"\x01" * 32 * 100


class TestProve:
    def test_an_artifact(self, ids: dict[str, str], registry: ArtifactRegistry, tmp_path: Path) -> None:
        chainfold("checkpoint", "-o", "kept")
        registry.register([1], "0009:1:all", "model")
        done = chainfold("prove", "production", "--at", "kept", "-o", "proof")
        assert done.exit_code == 0
        assert done.stdout == ""
        assert model_verifier(["proof", "--checkpoint", "kept"]) == 0
        assert chainfold("prove", "production", "--at", "kept").stdout == (tmp_path / "proof").read_text(
            "utf-8"
        )
        assert chainfold("prove", "production", "-o", "proof").exit_code == 65
        key = chainfold("checkpoint", "--make-key", "lab", "--key-file", "key").stdout.strip()
        assert chainfold("prove", ids["stack"], "--key-file", "key", "-o", "signed").exit_code == 0
        assert model_verifier(["signed", "--key", key]) == 0

    def test_a_name_that_turns_the_writing_stays_in_the_pipe(self, registry: ArtifactRegistry) -> None:
        registry.register([1], "a\u202eb:1:all", "model")
        done = process("prove", "a\u202eb:1:all", encoding="utf-8")
        assert done.stdout == registry.model_proof("a\u202eb:1:all")

    def test_an_entry_and_growth(self, ids: dict[str, str], registry: ArtifactRegistry) -> None:
        included, proof = as_json("prove", "--entry", "2"), registry.inclusion_proof(2)
        assert included["path"] == [each.hex() for each in proof.path]
        assert included["root"] == proof.root.hex()
        grown, growth = as_json("prove", "--since", "3", "--at", "7"), registry.as_of(7).consistency_proof(3)
        assert grown["path"] == [each.hex() for each in growth.path]
        assert (grown["first_root"], grown["second_root"]) == (
            growth.first_root.hex(),
            growth.second_root.hex(),
        )
        assert chainfold("prove", "--entry", "99").exit_code == 66

    @pytest.mark.parametrize("line", ["", "production --entry 1", "--entry 1 -o x", "--since 1 --key-file x"])
    def test_one_thing_at_a_time(self, ids: dict[str, str], line: str) -> None:
        assert chainfold("prove", *line.split()).exit_code == 2


class TestRebuild:
    def test_as_before(self, ids: dict[str, str], registry: ArtifactRegistry) -> None:
        entries = registry.position
        assert as_json("rebuild")["entries"] == entries
        done = chainfold("rebuild", "--exit-code")
        assert (done.exit_code, "as before" in done.stdout) == (0, True)

    def test_not_as_before(self, ids: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
        with monkeypatch.context() as patched:
            patched.setattr("chainfold.folded.Folded._is_as", lambda *_: False)
            assert chainfold("rebuild").exit_code == 0
            done = chainfold("rebuild", "--exit-code")
        assert done.exit_code == 1
        assert "did not say what the log says" in done.stderr


class TestDoctor:
    def kinds(self, level: str = "note", code: int = 0) -> list[str]:
        done = chainfold("doctor", "--format", "json")
        assert done.exit_code == code, done.output
        found = json.loads(done.stdout)
        assert found["ok"] == (code == 0)
        assert all(each["advice"] and each["detail"] for each in found["findings"])
        return [each["kind"] for each in found["findings"] if each["level"] == level]

    def test_a_healthy_workspace(self, ids: dict[str, str], workspace: Path) -> None:
        before = contents(workspace)
        done = chainfold("doctor")
        assert done.exit_code == 0
        assert "Nothing is wrong." in done.stdout
        assert self.kinds() == []
        assert contents(workspace) == before

    def test_without_a_workspace(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("CHAINFOLD_WORKSPACE")
        assert self.kinds() == ["workspace"]
        assert chainfold("doctor", "-w", tmp_path / "none").exit_code == 66

    def test_stale_and_living_runs(
        self, ids: dict[str, str], registry: ArtifactRegistry, workspace: Path
    ) -> None:
        owner = subprocess.Popen(
            [sys.executable, "-c", OWNER, str(workspace)], stdout=subprocess.PIPE, env=environment()
        )
        assert owner.stdout is not None
        assert owner.stdout.readline().strip() == b"open"
        assert self.kinds() == ["run"]
        owner.kill()
        owner.wait()
        owner.stdout.close()
        before = contents(workspace)
        assert self.kinds() == ["stale-run"]
        assert contents(workspace) == before  # it is left to whoever writes

    def test_a_lock_that_is_held(self, ids: dict[str, str], registry: ArtifactRegistry) -> None:
        with registry._data.writing():
            done = process("doctor", "--format", "json")
        (finding,) = json.loads(done.stdout)["findings"]
        assert finding["kind"] == "lock"
        assert f":{os.getpid()} is writing" in finding["detail"]
        assert self.kinds() == []

    def test_what_was_left_behind(self, ids: dict[str, str], workspace: Path) -> None:
        folder = workspace / "log" / "wheat"
        for name in ("aside/aa", "runs/20260101T000000-000000000001.lock", "snapshots/x.new"):
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(b"1234")
        assert self.kinds() == []  # somebody may be at work
        for name in ("aside/aa", "runs/20260101T000000-000000000001.lock", "snapshots/x.new"):
            os.utime(folder / name, (0, 0))
        assert self.kinds() == ["left-behind"] * 3
        (folder / "quarantine").mkdir()
        (folder / "quarantine" / "x").write_bytes(b"{")
        assert self.kinds() == ["left-behind"] * 3 + ["torn"]

    @pytest.mark.damages
    def test_a_damaged_log(self, ids: dict[str, str], registry: ArtifactRegistry, workspace: Path) -> None:
        registry.close()
        (segment,) = (workspace / "log" / "wheat" / "segments").iterdir()
        segment.write_bytes(segment.read_bytes().replace(b"MinMax", b"minmax", 1))
        assert self.kinds("error", 1) == ["damage"]
        done = chainfold("doctor")
        assert "1 thing to see to." in done.stdout
        assert chainfold("doctor", "-q").stdout == "dataset wheat\n"

    @pytest.mark.damages
    def test_a_log_of_a_newer_release(self, registry: ArtifactRegistry, workspace: Path) -> None:
        from chainfold.log import lines

        registry.close()
        segments = workspace / "log" / "wheat" / "segments"
        segments.mkdir(parents=True, exist_ok=True)
        body = b'{"position":0,"at":"2026-01-31T12:00:00.000000Z","actor":"a","durable":0,"kind":"unheard-of"'
        line, _ = lines.seal(body, lines.genesis("wheat"))
        (segments / f"{0:020d}.jsonl").write_bytes(line + b"\n")
        assert self.kinds("error", 1) == ["unknown-event"]

    def test_a_damaged_snapshot_and_a_missing_one(
        self, workspace: Path, registry: ArtifactRegistry, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with registry.run():
            for number in range(300):
                registry.register(number, f"0001:{number}:all", "model")
        registry.close()  # writes one
        (path,) = (workspace / "log" / "wheat" / "snapshots").glob("*.snapshot")
        assert self.kinds() == []
        content = bytearray(path.read_bytes())
        content[100] ^= 1
        path.write_bytes(content)
        assert self.kinds() == ["snapshot"]
        path.unlink()
        monkeypatch.setattr("chainfold.folded.TAIL_ENTRIES", 100)
        assert self.kinds() == ["snapshot"]

    def test_a_checkpoint_that_is_missing(self, ids: dict[str, str], workspace: Path) -> None:
        path = workspace / "log" / "wheat" / "checkpoint"
        content = path.read_bytes()
        path.write_bytes(b"")
        assert self.kinds() == ["checkpoint"]
        path.unlink()
        assert self.kinds() == ["checkpoint"]
        path.write_bytes(content)

    def test_a_clock_that_was_ahead(self, workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with monkeypatch.context() as patched:
            patched.setattr("chainfold.log.lines.time_ns", lambda: 4_000_000_000_000_000_000)
            with ArtifactRegistry(workspace, "wheat") as registry:
                registry.register([1], "0001:1:all", "model")
        assert self.kinds("error", 1) == ["clock"]

    def test_space_network_and_libraries(self, ids: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("chainfold.storage.network_kind", lambda _: "nfs4")
        usage = shutil.disk_usage("/")._replace(free=1_000)
        monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
        monkeypatch.setattr(symptoms, "_version", lambda name: "" if name == "msgspec" else "1")
        assert self.kinds("error", 1) == ["library", "network", "space"]


class TestCompletion:
    @pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
    def test_a_script(self, shell: str) -> None:
        done = chainfold("completion", shell)
        assert done.exit_code == 0
        assert f"_CHAINFOLD_COMPLETE={shell}_complete" in done.stdout

    def test_the_shell_of_the_user(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SHELL", "/usr/bin/fish")
        assert chainfold("completion").stdout == chainfold("completion", "fish").stdout
        monkeypatch.setenv("SHELL", "/bin/tcsh")
        assert chainfold("completion").exit_code == 65
        assert chainfold("completion", "tcsh").exit_code == 2

    @pytest.mark.skipif(not Path("/bin/bash").exists(), reason="it is asked of bash")
    def test_bash_takes_it(self) -> None:
        script = chainfold("completion", "bash").stdout
        done = subprocess.run(
            ["/bin/bash", "-c", f"{script}\ncomplete -p chainfold"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "_chainfold_completion" in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("verify", "--since"),
        ("verify", "--after"),
        ("ls", "--at"),
        ("prove", "--since"),
        ("diff",),
        ("diff", "0"),
        ("restore", "production", "--at"),
    ],
    ids=" ".join,
)
def test_a_checkpoint_of_another_dataset(
    arguments: tuple[str, ...], registry: ArtifactRegistry, ids: dict[str, str], workspace: Path
) -> None:
    with ArtifactRegistry(workspace, "the rye") as other:
        other.register([1], "0001:1:all", "model")
    assert chainfold("checkpoint", "-d", "the rye", "-o", "kept.txt").exit_code == 0
    done = chainfold(*arguments, "kept.txt", "-d", "wheat")
    assert (done.exit_code, done.stdout) == (65, "")
    assert "'kept.txt' is of dataset 'the rye', and this is 'wheat': use -d 'the rye'" in done.stderr


def test_a_checkpoint_of_something_else(registry: ArtifactRegistry, ids: dict[str, str]) -> None:
    Path("kept.txt").write_text(f"go.sum database tree\n5\n{'A' * 43}=\n")
    done = chainfold("verify", "--since", "kept.txt")
    assert done.exit_code == 65
    assert "'kept.txt' is of the log 'go.sum database tree'" in done.stderr
    assert "-d" not in done.stderr
