"""What others' tools are given says what happened, and is read back by their own libraries."""

import sys

import pytest
from prov.model import ProvDocument

from chainfold import ArtifactRegistry, RegistryView
from chainfold.events import ArtifactRegistered
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


def test_prov_says_what_the_history_says(registry: ArtifactRegistry) -> None:
    fill(registry)
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


def test_a_missing_library_is_named(registry: ArtifactRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prov.model", None)
    with pytest.raises(MissingLibraryError, match=r"chainfold\[prov\]"):
        document(registry)


def test_prov_withholds_what_is_private(registry: ArtifactRegistry) -> None:
    registry.register([1], "p:1:all", "model", params={"who": "Ann Other", "n": 1}, private=["who"])
    made = document(registry)
    assert "Ann Other" not in f"{made.serialize(format='json')} {made.get_provn()}"
    assert registry.history("p:1:all")[0].record.params["who"] == "Ann Other"
