"""What others' tools are given says what happened, and is read back by their own libraries."""

import json
import sys
import warnings
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st
from in_toto_attestation.predicates.provenance.v1.provenance_pb2 import Provenance
from in_toto_attestation.v1.resource_descriptor import ResourceDescriptor
from in_toto_attestation.v1.statement import Statement
from openlineage.client import event_v2, serde
from openlineage.client.generated import dataset_version_dataset, lifecycle_state_change_dataset, parent_run
from prov.model import ProvDocument, ProvEntity

from chainfold import ArtifactRegistry, InvalidInputError, NotFoundError, RegistryView
from chainfold.events import ArtifactRegistered
from chainfold.integrations.intoto import BUILD, IMPORT, statement
from chainfold.integrations.openlineage import events
from chainfold.integrations.prov import document
from chainfold.serializers.protocol import MissingLibraryError


def fill(registry: ArtifactRegistry) -> tuple[str, str]:
    """A run of a scaler and a model made from it; then the model anew, then the scaler deleted."""
    with registry.run():
        scaler = registry.register_with_chain([0], "s1.Scale", "transformer", step_index=1)
        model = registry.register_with_chain(
            [1], "s1.Scale>s2.PLS", "model", step_index=2, depends_on=[scaler.artifact_id]
        )
    registry.register([2], model.artifact_id, "model", depends_on=[scaler.artifact_id])
    registry.delete_pipeline_artifacts("0001_pls")
    return scaler.artifact_id, model.artifact_id


HOSTILE = {
    'quote" <x> \\': "line\nfeed; 'drop'",
    "nan": float("nan"),
    "large": 2**80,
    "nested": [{"a": None}],
}


def fill_all(registry: ArtifactRegistry) -> None:
    """Every way in which a registration can end, and hostile texts."""
    fill(registry)
    registry.register([3], 'odd:<"&\\>:all', "model", params=HOSTILE, depends_on=["never:seen:all"])
    with pytest.raises(KeyError), registry.run():
        registry.register([4], "rolled:back:all", "model")
        raise KeyError
    with registry.run():
        registry.register([5], "withdrawn:1:all", "model")
        registry.delete_pipeline_artifacts("withdrawn")
    registry.register([6], "private:1:all", "model", params={"who": "Ann Other"}, private=["who"])
    registry.purge_dataset_artifacts(confirm=True)
    registry.register([7], "last:1:all", "model", depends_on=["private:1:all"])


def relations(found: ProvDocument, kind: str) -> set[tuple[str, str]]:
    """The first two arguments of each relation of a kind."""
    return {
        (str(each.args[0]), str(each.args[1])) for each in found.get_records() if type(each).__name__ == kind
    }


def read(view: RegistryView) -> ProvDocument:
    """The document, as the library reads it back from PROV-JSON."""
    made = document(view)
    back: ProvDocument = ProvDocument.deserialize(content=made.serialize(format="json"), format="json")
    assert back == made
    return back


@pytest.mark.parametrize("how", [fill, fill_all])
def test_prov_says_what_the_history_says(registry: ArtifactRegistry, how: Any) -> None:
    how(registry)
    for size in range(registry.position + 1):
        view = registry.as_of(size)
        found = read(view)
        ended, made = set(), set()
        names = set()
        for each in view.events():
            if isinstance(each.event, ArtifactRegistered):
                made.add(each.position)
                names.add(each.event.record.artifact_id)
        for name in names:
            ended |= {item.position for item in view.history(name) if item.removed_at is not None}
        assert {a for a, _ in relations(found, "ProvGeneration")} == {f"registration:{n}" for n in made}
        assert {a for a, _ in relations(found, "ProvInvalidation")} == {f"registration:{n}" for n in ended}


def test_prov_tells_what_was_made_from_what_and_what_ended_it(registry: ArtifactRegistry) -> None:
    fill(registry)
    found = read(registry)
    assert relations(found, "ProvDerivation") == {
        ("registration:2", "registration:1"),
        ("registration:4", "registration:1"),
    }
    assert relations(found, "ProvUsage") == {
        ("activity:0", "registration:1"),
        ("activity:4", "registration:1"),
    }
    assert relations(found, "ProvInvalidation") == {
        ("registration:2", "activity:4"),  # superseded
        ("registration:1", "activity:5"),  # deleted
        ("registration:4", "activity:5"),
    }
    assert "wasInvalidatedBy(registration:1, activity:5" in found.get_provn()


def test_hostile_texts_do_not_break_prov(registry: ArtifactRegistry) -> None:
    actor = '-a") endDocument.'
    with ArtifactRegistry(registry.workspace, "wheat", actor=actor) as other:
        other.register([1], 'q");-:1:all', "model", params={"a": '"""', "n": float("nan"), "big": 10**40})
        found = read(other)
        (entity,) = [each for each in found.get_records() if type(each).__name__ == "ProvEntity"]
        said = {str(name): value for name, value in entity.attributes}
    assert said["chainfold:artifact_id"] == 'q");-:1:all'
    (agent,) = [each for each in found.get_records() if type(each).__name__ == "ProvAgent"]
    assert str(agent.identifier) == "actor:%2Da%22%29%20endDocument%2E"
    assert agent.label == actor


@pytest.mark.parametrize("make", [document, events, lambda view: statement(view, "p:1:all")])
def test_what_is_no_view_is_told(make: Any) -> None:
    with pytest.raises(InvalidInputError, match="takes a registry or a view of one, not NoneType"):
        make(None)


def test_a_missing_library_is_named(registry: ArtifactRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prov.model", None)
    with pytest.raises(MissingLibraryError, match=r"chainfold\[prov\]"):
        document(registry)


def test_prov_withholds_what_is_private(registry: ArtifactRegistry) -> None:
    registry.register([1], "p:1:all", "model", params={"who": "Ann Other", "n": 1}, private=["who"])
    made = document(registry)
    assert "Ann Other" not in f"{made.serialize(format='json')} {made.get_provn()}"
    assert registry.history("p:1:all")[0].record.params["who"] == "Ann Other"


def _typed(told: dict[str, Any]) -> event_v2.RunEvent:
    """The event as the library's own classes hold it, which check what the published schema says."""

    def facet(name: str, fields: dict[str, Any]) -> Any:
        known = {key: value for key, value in fields.items() if not key.startswith("_")}
        match name:
            case "version":
                made: Any = dataset_version_dataset.DatasetVersionDatasetFacet(**known)
            case "lifecycleStateChange":
                made = lifecycle_state_change_dataset.LifecycleStateChangeDatasetFacet(**known)
            case "parent":
                made = parent_run.ParentRunFacet(
                    run=parent_run.Run(**known["run"]), job=parent_run.Job(**known["job"])
                )
            case _:
                assert name.startswith("chainfold_")  # others' facets have the prefix of who makes them
                return fields
        assert fields["_schemaURL"] == made._get_schema()
        return fields

    def checked(facets: dict[str, Any]) -> dict[str, Any]:
        return {name: facet(name, fields) for name, fields in facets.items()}

    run, job = told["run"], told["job"]
    return event_v2.RunEvent(
        eventType=event_v2.RunState(told["eventType"]),
        eventTime=told["eventTime"],
        producer=told["producer"],
        run=event_v2.Run(runId=run["runId"], facets=checked(run["facets"])),
        job=event_v2.Job(namespace=job["namespace"], name=job["name"], facets=checked(job["facets"])),
        inputs=[
            event_v2.InputDataset(each["namespace"], each["name"], facets=checked(each["facets"]))
            for each in told["inputs"]
        ],
        outputs=[
            event_v2.OutputDataset(each["namespace"], each["name"], facets=checked(each["facets"]))
            for each in told["outputs"]
        ],
    )


def test_openlineage_events_are_what_its_own_classes_hold(registry: ArtifactRegistry) -> None:
    """And come back from them as they were."""
    fill_all(registry)
    for size in range(registry.position + 1):
        for told in events(registry.as_of(size)):
            made = _typed(told)
            assert made.schemaURL == told["schemaURL"]
            back = json.loads(serde.Serde.to_json(made))
            for each in (*back.get("inputs", ()), *back.get("outputs", ())):
                each.pop("inputFacets", None)
                each.pop("outputFacets", None)
                each.setdefault("facets", {})
            for each in (back["run"], back["job"]):
                each.setdefault("facets", {})
            assert {"inputs": [], "outputs": [], **back} == json.loads(json.dumps(told))


def test_openlineage_says_what_the_log_says(registry: ArtifactRegistry) -> None:
    """One run for each registration, fed by what it names; and one for each that was deleted or purged."""
    fill_all(registry)
    told = list(events(registry))
    registered = list(registry.events(kinds="artifact-registered"))
    firsts = [each for each in told if each["eventType"] == "START"]
    assert len(firsts) == len(told) // 2 == len({each["run"]["runId"] for each in told})
    drops = {each["run"]["runId"] for each in told for one in each["outputs"] if "DROP" in str(one)}
    made = [each for each in firsts if each["run"]["runId"] not in drops]
    for entry, first in zip(registered, made, strict=True):
        assert isinstance(entry.event, ArtifactRegistered)
        assert [each["name"] for each in first["inputs"]] == entry.event.record.depends_on
        assert first["eventTime"] == entry.at.replace("Z", "+00:00")
    changes = Counter(
        (each["name"], each["facets"]["lifecycleStateChange"]["lifecycleStateChange"])
        for event in told
        for each in event["outputs"]
    )
    model = next(each.event.record.artifact_id for each in registered[1:2])  # type: ignore[union-attr] # as above
    assert (changes[model, "CREATE"], changes[model, "OVERWRITE"], changes[model, "DROP"]) == (1, 1, 1)
    assert changes["last:1:all", "DROP"] == 0
    assert changes["rolled:back:all", "CREATE"] == changes["withdrawn:1:all", "CREATE"] == 0
    assert Counter(each["eventType"] for each in told)["ABORT"] == 2
    assert "Ann" not in json.dumps(told)


@given(
    st.lists(
        st.tuples(
            st.integers(0, 1),
            st.sampled_from(("register", "register", "register", "run", "fail", "delete")),
            st.integers(0, 2),
        ),
        max_size=20,
    )
)
def test_openlineage_ends_where_the_registry_is(
    tmp_path_factory: pytest.TempPathFactory, history: list[tuple[int, str, int]]
) -> None:
    """Whatever runs are open meanwhile: what is told last of an id is what others see, at every size."""
    workspace = tmp_path_factory.mktemp("lineage")
    with (
        warnings.catch_warnings(),
        ArtifactRegistry(workspace, "wheat") as one,
        ArtifactRegistry(workspace, "wheat") as two,
    ):
        warnings.simplefilter("ignore")
        opened: set[int] = set()
        for number, (who, verb, which) in enumerate(history):
            registry = (one, two)[who]
            if verb == "register":
                registry.register(number, f"p{which % 2}:{which}:all", "model")
            elif verb == "delete":
                registry.delete_pipeline_artifacts(f"p{which % 2}")
            elif who in opened:
                opened.remove(who)
                (registry.end_run if verb == "run" else registry.cleanup_failed_run)()
            elif verb == "run":
                opened.add(who)
                registry.start_run()
        for size in range(one.position + 1):
            view, seen = one.as_of(size), dict[str, str]()
            told = list(events(view))
            for output in (each for event in told for each in event["outputs"]):
                name, facets = output["name"], output["facets"]
                change = facets["lifecycleStateChange"]["lifecycleStateChange"]
                assert (change == "CREATE") == (name not in seen)
                seen[name] = facets["version"]["datasetVersion"]
                if change == "DROP":
                    del seen[name]
            live = {each.artifact_id: view.history(each.artifact_id) for each in view.iter_records()}
            assert seen == {
                name: str(next(item.position for item in items if item.standing == "live"))
                for name, items in live.items()
            }
            times = [event["eventTime"] for event in told if event["eventType"] != "RUNNING"]
            assert times == sorted(times)


def test_an_intoto_statement_is_read_by_its_own_library(registry: ArtifactRegistry) -> None:
    fill_all(registry)
    for artifact_id, size in (("last:1:all", registry.position), ('odd:<"&\\>:all', registry.position - 9)):
        told = json.loads(json.dumps(statement(registry.as_of(size), artifact_id), allow_nan=False))
        subjects = [ResourceDescriptor(each["name"], digest=each["digest"]).pb for each in told["subject"]]
        read = Statement(subjects, told["predicateType"], told["predicate"])
        read.validate()
        predicate = json_format.ParseDict(told["predicate"], Provenance())
        assert predicate.run_details.builder.id.endswith(":tester")
        assert predicate.build_definition.build_type == "urn:x-chainfold:registration:1"
        for each in predicate.build_definition.resolved_dependencies:
            ResourceDescriptor.copy_from_pb(each).validate()
        record = registry.as_of(size).resolve(artifact_id)
        assert record is not None
        assert told["subject"][0]["digest"]["sha256"] == record.content_hash.removeprefix("sha256:")
        assert "Ann" not in json.dumps(told)


def test_a_statement_names_all_that_a_model_was_made_from(registry: ArtifactRegistry) -> None:
    with registry.run():
        scaler = registry.register_with_chain([0], "s1.Scale", "transformer", step_index=1)
        model = registry.register_with_chain(
            [1], "s1.Scale>s2.PLS", "model", step_index=2, depends_on=[scaler.artifact_id]
        )
        stack = registry.register_meta_model([2], "p:stack:all", [model.artifact_id])
    told = statement(registry, stack.artifact_id)["predicate"]
    used = told["buildDefinition"]["resolvedDependencies"]
    assert [each["digest"]["sha256"] for each in used] == [
        each.content_hash.removeprefix("sha256:") for each in (model, scaler)
    ]
    (run,) = registry.runs()
    assert told["runDetails"]["metadata"]["invocationId"] == run.run_id


def test_nothing_is_stated_of_what_is_not_known(registry: ArtifactRegistry, tmp_path: Any) -> None:
    with pytest.raises(NotFoundError, match="no live artifact"):
        statement(registry, "nothing")
    registry.import_from_manifest(
        [{"artifact_id": "p$x:0", "content_hash": "sha256:abc", "path": "a"}], tmp_path
    )
    with pytest.raises(InvalidInputError, match="no sha256 digest"):
        statement(registry, "p$x:0")


def test_openlineage_tells_what_happened_in_its_order(tmp_path: Path) -> None:
    """Who takes the events as they come knows what is live."""
    with ArtifactRegistry(tmp_path, "wheat") as registry:
        registry.register([1], "p:1:all", "model")
        registry.delete_pipeline_artifacts("p")
        registry.start_run()
        registry.register([0], "p:2:all", "model")
        registry.cleanup_failed_run()
        registry.register([2], "p:1:all", "model")
        registry.register([3], "p:2:all", "model")
        told = list(events(registry))
        live: set[str] = set()
        for event in told:
            for output in event["outputs"]:
                change = output["facets"]["lifecycleStateChange"]["lifecycleStateChange"]
                assert (change == "CREATE") == (output["name"] not in live)
                (live.discard if change == "DROP" else live.add)(output["name"])
        assert live == {record.artifact_id for record in registry.iter_records()}
        (aborted,) = (each for each in told if each["eventType"] == "ABORT")
        (rolled_back,) = registry.events(kinds="run-rolled-back")
        assert datetime.fromisoformat(aborted["eventTime"]) == datetime.fromisoformat(rolled_back.at)
        assert [each["eventTime"] for each in told] == sorted(each["eventTime"] for each in told)


def test_nothing_is_stated_of_what_may_be_rolled_back_and_imports_are_called_so(tmp_path: Path) -> None:
    with ArtifactRegistry(tmp_path / "one", "wheat") as registry:
        registry.start_run()
        registry.register([1], "p:1:all", "model")
        with pytest.raises(NotFoundError, match="not visible yet"):
            statement(registry, "p:1:all")
        registry.end_run()
        assert statement(registry, "p:1:all")["predicate"]["buildDefinition"]["buildType"] == BUILD
        manifest = registry.export_to_manifest()
    with ArtifactRegistry(tmp_path / "two", "wheat") as registry:
        registry.import_from_manifest(manifest, tmp_path / "one")
        registry.register([2], "p:2:all", "model", depends_on=["p:1:all"])
        registry.register([3], "p:3:all", "model", depends_on=["p:2:all"])
        stated = statement(registry, "p:1:all")
        assert stated["predicate"]["buildDefinition"]["buildType"] == IMPORT
        of_third = statement(registry, "p:3:all")["predicate"]["buildDefinition"]
        assert of_third["buildType"] == BUILD
        assert [each["annotations"]["imported"] for each in of_third["resolvedDependencies"]] == [False, True]
        facets = [
            each["facets"]["chainfold_record"] for event in events(registry) for each in event["outputs"]
        ]
        assert [each["imported"] for each in facets] == [True, False, False]
        entities = read(registry).get_records(ProvEntity)
        told = {str(each.identifier): each.get_attribute("chainfold:imported") for each in entities}
        assert told == {"registration:1": {True}, "registration:3": {False}, "registration:4": {False}}
