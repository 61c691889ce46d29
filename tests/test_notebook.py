"""What a notebook shows: whatever names say, it is text."""

from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st
from tests.cli_running import fill

from chainfold import ArtifactRegistry
from chainfold.markup import card, grid

ALLOWED = {"table", "caption", "tr", "th", "td"}


class Reader(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in ALLOWED
        assert all(attr == ("style", "text-align:left") for attr in attrs)
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@given(st.text(), st.text())
def test_names_make_no_tags(first: str, second: str) -> None:
    assert Reader(card(first, [(second, first)])).tags.count("table") == 1
    assert Reader(grid(first, [second], [[first]])).tags.count("td") == 1


@given(st.text(alphabet=st.characters(codec="ascii", categories=["L", "N", "P", "S"]), min_size=1))
def test_what_can_be_seen_is_read_back(name: str) -> None:
    assert "".join(Reader(card(name, [])).texts) == name


def test_everything_shows_itself(registry: ArtifactRegistry) -> None:
    ids = fill(registry)
    evil = registry.register([1], "<script>alert(1)</script>:0:all", "model", custom_name="<img onerror=x>")
    texts = {
        "registry": registry._repr_html_(),
        "view": registry.as_of(3)._repr_html_(),
        "record": evil._repr_html_(),
        "run": next(registry.runs())._repr_html_(),
        "lineage": registry.lineage(ids["stack"])._repr_html_(),
    }
    for text in texts.values():
        Reader(text)
        assert "http" not in text
    assert f"production = {ids['model']}" in Reader(texts["registry"]).texts
    assert ids["scaler"] in Reader(texts["lineage"]).texts
    assert evil.artifact_id in "".join(Reader(texts["record"]).texts)
