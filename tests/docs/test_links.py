"""Links have targets, and every page can be reached from the README."""

from pathlib import Path

import pytest

from tests.docs.reading import ROOT, anchors, links, name, pages


@pytest.mark.parametrize("page", pages(), ids=name)
def test_a_link_leads_to_a_file_and_its_anchor_to_a_heading(page: Path) -> None:
    """The target of each relative link exists, and so does the heading after its #."""
    broken = []
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert not broken


def test_every_page_is_found_from_the_readme() -> None:
    """Links lead from page to page to every page."""
    found, ahead = set(), [ROOT / "README.md"]
    while ahead:
        page = ahead.pop()
        found.add(page)
        targets = {(page.parent / link.partition("#")[0]).resolve() for link in links(page)}
        ahead += [target for target in targets if target.suffix == ".md" and target not in found]
    assert [name(page) for page in pages() if page not in found] == []
