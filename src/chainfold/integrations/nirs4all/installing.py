"""Our classes in the place of nirs4all's artifact modules, under the names that the rest of it imports."""

import functools
import importlib
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, Final

from chainfold.errors import InvalidInputError

_PACKAGE: Final = "nirs4all"
_TRIED: Final = "0.6.2"
_ARTIFACTS: Final = f"{_PACKAGE}.pipeline.storage.artifacts"
_HERE: Final = "chainfold.integrations.nirs4all"
_VARIABLE: Final = "CHAINFOLD_NIRS4ALL"
_NO: Final = ("", "0", "false", "no", "off")
_RECORDS: Final = dict.fromkeys(("ArtifactRecord", "ArtifactType", "MetaModelConfig"), "chainfold.records")
_CHAINS: Final = {
    "OperatorChain": "chainfold.chain",
    "OperatorNode": f"{_HERE}.chains",
    "compute_chain_hash": "chainfold.chain",
    "generate_artifact_id_v3": "chainfold.artifact_ids",
    "is_v3_artifact_id": "chainfold.artifact_ids",
    "parse_artifact_id_v3": "chainfold.artifact_ids",
}
_UTILITIES: Final = {
    "ExecutionPath": f"{_HERE}.ids",
    "artifact_id_matches_context": f"{_HERE}.ids",
    "extract_fold_id_from_artifact_id": f"{_HERE}.ids",
    "extract_pipeline_id_from_artifact_id": f"{_HERE}.ids",
    "parse_artifact_id": f"{_HERE}.ids",
    "parse_filename": f"{_HERE}.ids",
    "validate_artifact_id": f"{_HERE}.ids",
    "compute_content_hash": "chainfold.digest",
    "generate_filename": "chainfold.blobs",
    "get_binaries_path": "chainfold.blobs",
    "get_short_hash": "chainfold.blobs",
}
_MODULES: Final[dict[str, dict[str, str]]] = {
    f"{_ARTIFACTS}.types": _RECORDS,
    f"{_ARTIFACTS}.operator_chain": _CHAINS,
    f"{_ARTIFACTS}.utils": _UTILITIES | _CHAINS,
    f"{_ARTIFACTS}.artifact_registry": {
        **_RECORDS,
        **_CHAINS,
        "ArtifactRegistry": f"{_HERE}.registry",
        "DependencyGraph": "chainfold.graph",
    },
    f"{_ARTIFACTS}.artifact_loader": {
        **_RECORDS,
        **_CHAINS,
        "ArtifactLoader": f"{_HERE}.loader",
        "LRUCache": f"{_HERE}.cache",
    },
}
"""Where the names of each module come from."""
_RENAMED: Final = {"compute_content_hash": "digest_of"}
"""What has another name here."""


_allowed: set[str] = {_PACKAGE}


def allowed() -> frozenset[str]:
    """What the pickles may refer to, beyond what is listed, that nirs4all asks for here: see `install`."""
    return frozenset(_allowed)


def install(*, allow: Iterable[str] = ()) -> None:
    """From now on nirs4all, in this process, uses chainfold as its registry. Once more only allows more.

    What of nirs4all is imported already is changed over: its modules then refer to our classes. Objects that
    it has made stay what they are, and so do names that the caller's own modules have imported from its
    artifact modules: call this first.

    Args:
        allow: Packages, modules or classes that imported artifacts may refer to, beside nirs4all and what
            chainfold lists: `registry.allow` for the registries and loaders that nirs4all opens from now on.

    Raises:
        InvalidInputError: If nirs4all is not installed, or is not 0.6, or what is allowed is no dotted name.
    """
    from chainfold.trust import Trust  # noqa: PLC0415 - each process that starts may import this module

    if isinstance(allow, str) or not isinstance(allow, Iterable):
        raise InvalidInputError(f"allow takes names, as ['package.module.Class'], not {allow!r:.80}")
    names = list(allow)
    Trust().allow(names)  # refuses what is no name
    _allowed.update(names)
    if nirs4all_version() is None:
        raise InvalidInputError(f"nirs4all is not installed: pip install {_PACKAGE}=={_TRIED}")
    _refuse_others()
    if not _is_in_place():
        _put_in_place()


def install_if_asked() -> None:
    """Install, if the environment variable `CHAINFOLD_NIRS4ALL` is set, and not to a way of saying no.

    Each Python that starts calls this, by `chainfold_nirs4all.pth`, if the variable is there at all. So it
    says nothing where nirs4all is not installed, and imports as little as it can.
    """
    if os.environ.get(_VARIABLE, "").strip().lower() not in _NO and not _is_in_place():
        _put_in_place()


@functools.cache
def nirs4all_version() -> str | None:
    """The version that is installed; None if none is."""
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - slow to import, see above

    try:
        return version(_PACKAGE)
    except PackageNotFoundError:
        return None


def _is_in_place() -> bool:
    return any(isinstance(finder, _Finder) for finder in sys.meta_path)


def _put_in_place() -> None:
    """Find the modules here from now on, and change over what is imported already."""
    sys.meta_path.insert(0, _Finder())
    theirs = {name: sys.modules[name] for name in _MODULES if name in sys.modules}
    for name in theirs:
        del sys.modules[name]
    for name, module in theirs.items():
        _change_over(vars(module), vars(importlib.import_module(name)))


def offered() -> dict[str, dict[str, Any]]:
    """What stands in the place of each of nirs4all's artifact modules, by its name there."""
    return {name: _offered(name) for name in _MODULES}


def _offered(name: str) -> dict[str, Any]:
    return {
        key: getattr(importlib.import_module(source), _RENAMED.get(key, key))
        for key, source in _MODULES[name].items()
    }


def _change_over(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> None:
    """Let what nirs4all's modules have imported from one of its artifact modules be ours."""
    common = [name for name in ours if name in theirs and not name.startswith("__")]
    replaced = {id(theirs[name]): ours[name] for name in common}
    for name, module in list(sys.modules.items()):
        if name == _PACKAGE or name.startswith(f"{_PACKAGE}."):
            for key, value in list(vars(module).items()):
                if id(value) in replaced and name not in _MODULES:
                    setattr(module, key, replaced[id(value)])


def _refuse_others() -> None:
    """Nothing, if the nirs4all that is installed is one whose artifact modules are those that we replace.

    Raises:
        InvalidInputError: If it is another: up to 0.5 it had no such modules, and from 0.7 on it asks more of
            them, and keeps its artifacts elsewhere.
    """
    found = nirs4all_version()
    if found is not None and found.split(".")[:2] != _TRIED.split(".")[:2]:
        raise InvalidInputError(
            f"chainfold takes the place of the registry of nirs4all 0.6, and this is {found}, which keeps "
            f"its artifacts in another way: pip install {_PACKAGE}=={_TRIED}, or leave chainfold out "
            f"(unset {_VARIABLE}, or do not call install)"
        )


class _Finder(MetaPathFinder):
    """Finds the artifact modules of nirs4all here."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002 - the protocol's signature
        target: ModuleType | None = None,  # noqa: ARG002 - likewise
    ) -> ModuleSpec | None:
        """The module's, if it is one of those. Another release of nirs4all is refused when it is imported."""
        if fullname == _PACKAGE:
            _refuse_others()
        return ModuleSpec(fullname, _Loader(), origin=_HERE) if fullname in _MODULES else None


class _Loader(Loader):
    """Makes a module that has our classes."""

    def exec_module(self, module: ModuleType) -> None:
        """Import what the module is to have, and put it there."""
        name = module.__name__
        module.__doc__ = f"chainfold in the place of {name}."
        for key, value in _offered(name).items():
            setattr(module, key, value)
