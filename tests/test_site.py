"""The documentation as a site: a strict build, in which a link or an anchor that leads nowhere is an error."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


class Fetched(HTMLParser):
    """What a browser fetches on its own account."""

    def __init__(self):
        super().__init__()
        self.urls = []

    def handle_starttag(self, tag, attrs):
        told = dict(attrs)
        self.urls += [told[key] for key in ("src", "srcset") if told.get(key)]
        if tag == "link" and told.get("rel") == "stylesheet":
            self.urls.append(told["href"])


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def test_every_page_is_built_and_in_the_navigation(site):
    home = (site / "index.html").read_text(encoding="utf-8")
    for page in (ROOT / "docs").glob("*.md"):
        if page.stem != "index":
            assert (site / page.stem / "index.html").exists()
            assert f'href="{page.stem}/"' in home


def test_pages_fetch_nothing_from_elsewhere(site):
    for page in site.rglob("*.html"):
        fetched = Fetched()
        fetched.feed(page.read_text(encoding="utf-8"))
        assert fetched.urls
        assert not [url for url in fetched.urls if re.match(r"(https?:)?//", url)], page


def test_no_script_is_published(site):
    assert not list(site.rglob("*.py"))
