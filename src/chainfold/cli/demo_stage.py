"""What all chapters of the demo share. It needs scikit-learn."""

from chainfold.cli.demo_page import Page
from chainfold.cli.demo_pipeline import Data
from chainfold.errors import ChainfoldError
from chainfold.registry import ArtifactRegistry

FIRST = "0001_stack"
AGAIN = "0002_again"
BROKEN = "0003_broken"


class Stage:
    """A page to tell on, the registry and the data to tell of.

    Attributes:
        page: Where it is printed.
        registry: One dataset, that only the demo uses.
        data: What pipelines are fitted to.
    """

    def __init__(self, page: Page, registry: ArtifactRegistry) -> None:
        self.page = page
        self.registry = registry
        self.data = Data.load()

    def introduce(self) -> None:
        """Say what this is about."""
        self.page.title(
            "A pipeline leaves many fitted things behind: scalers, a model for each fold and branch, a stack "
            "on top. chainfold keeps them, with what was made from what, and their whole history. Real data: "
            f"{len(self.data.target)} patients with diabetes, in two sources: four measures of the body, six "
            "of the blood serum. "
            f"Workspace: {self.registry.workspace}, dataset: {self.registry.dataset}."
        )

    def claim(self, text: str, *, holds: bool) -> None:
        """Say something, provided that it is true.

        Raises:
            ChainfoldError: If it is not.
        """
        if not holds:
            raise ChainfoldError(f"the demo found that this does not hold: {text}")
        self.page.say(text)

    def count(self, when: str) -> list[str | int]:
        """How many artifacts and files there are, as a row of a table."""
        return [when, len(self.registry), self.registry.get_stats()["disk_file_count"]]

    def log_lines(self) -> list[str]:
        """The lines of the log, as any program reads them."""
        folder = self.registry.workspace / "log" / self.registry.dataset / "segments"
        return [line for path in sorted(folder.iterdir()) for line in path.read_text("utf-8").splitlines()]
