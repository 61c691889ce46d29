"""The registry as nirs4all opens it."""

from pathlib import Path
from typing import Any, Self

from chainfold import registry
from chainfold.integrations.nirs4all.chains import shown
from chainfold.integrations.nirs4all.formats import offer_format
from chainfold.integrations.nirs4all.installing import allowed, install, nirs4all_version
from chainfold.records import ArtifactRecord
from chainfold.serializers import available_formats


class ArtifactRegistry(registry.ArtifactRegistry):
    """`chainfold.ArtifactRegistry` with what nirs4all expects beyond the reference.

    It copies its execution context, registry included, at each step of a pipeline: a copy is this registry
    itself, in its open run. It names a format for each object by the framework of its step, such as `sklearn`
    for whatever is no neural network: so a name that is none of our formats is left to the object's class.
    It writes its manifests itself, pipeline by pipeline: so its manager is told of nothing.
    Pickled into a worker, it puts chainfold in place there as well. It allows what is allowed in `install`.
    """

    def __init__(
        self,
        workspace: Path | str,
        dataset: str,
        manifest_manager: Any | None = None,
        pipeline_id: str = "",
        **options: Any,
    ) -> None:
        super().__init__(workspace, dataset, manifest_manager, pipeline_id, **options)
        self.allow(*allowed())

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Reconnect, join the run that the original was in, and put chainfold in place here as well."""
        install()
        super().__setstate__(state)

    def register(self, *args: Any, **options: Any) -> ArtifactRecord:
        """As `chainfold.ArtifactRegistry.register`; a name that cannot be printed is no reason to fail."""
        return super().register(*args, **_named(options))

    def register_with_chain(self, *args: Any, **options: Any) -> ArtifactRecord:
        """As `chainfold.ArtifactRegistry.register_with_chain`; see `register`."""
        return super().register_with_chain(*args, **_named(options))

    def load_artifact(self, record: ArtifactRecord) -> Any:
        """The object that was registered, also in a format that nirs4all alone reads back."""
        offer_format(record.format)
        return super().load_artifact(record)

    def _register(
        self, record: ArtifactRecord, obj: Any, format_hint: str | None, asked: tuple[str, ...]
    ) -> ArtifactRecord:
        record.nirs4all_version = nirs4all_version() or ""
        known = format_hint if format_hint in available_formats() else None
        return super()._register(record, obj, known, asked)

    def _tell_manager(self, rows: list[int]) -> None:
        """Nothing: see above."""


def _named(options: dict[str, Any]) -> dict[str, Any]:
    return {key: shown(value) if key == "custom_name" else value for key, value in options.items()}
