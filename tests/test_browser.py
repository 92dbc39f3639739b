"""The built book in a real browser that has no network: Chromium, from a local server."""

import functools
import http.server
import re
import shutil
import threading
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

import fake_run
import pytest
from playwright.sync_api import sync_playwright

from invnb import book, claims, paths, vendor
from invnb.markup import BADGES, chapter_titles

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]
# sphinx-thebe, a part of Jupyter Book, writes its settings twice; no page uses them.
KNOWN = "Identifier 'THEBE_JS_URL' has already been declared"
AXE = {"axe-core": ("axe", ("axe.min.js",))}
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]  # of the Web Content Accessibility Guidelines
FAULTY_FORMULA = "[data-mjx-error]"  # how MathJax marks what it could not read
DESKTOP, PHONE = 1280, 390  # widths in pixels

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium on PATH: `apt install chromium`"
)


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files, does not log requests."""

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """Folder of the built book: of the reference run where there is one, else of a made-up run."""
    folder = tmp_path_factory.mktemp("site")
    place = fake_run.place(folder)
    if book.finished(book.read_run(paths.RESULTS / book.REFERENCE)):
        return book.build(book.REFERENCE, out=place["out"]).parent
    fake_run.write(folder / "results" / "mine", fake_run.glue_names())
    return book.build("mine", **place).parent


@pytest.fixture(scope="session")
def address(site):
    handler = functools.partial(Quiet, directory=site)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="session")
def browser():
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


def left_behind(request):
    """Return whether a request was given up only because its page was left while it loaded."""
    return request.failure == "net::ERR_ABORTED"


@pytest.fixture
def open_page(browser, address):
    """Return a function that opens a page by its path; what goes wrong gathers in its `faults`."""
    contexts = []

    def opened(path, width=DESKTOP, scheme="light"):
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        faults = page.faults = []

        def only_here(route):
            if route.request.url.startswith((address, "data:", "blob:", "file:")):
                route.continue_()
            else:
                faults.append(f"remote request: {route.request.url}")
                route.abort()

        context.route("**/*", only_here)
        page.on("requestfailed", lambda r: left_behind(r) or faults.append(f"failed: {r.url}"))
        page.on("pageerror", lambda e: KNOWN in str(e) or faults.append(f"script: {e}"))
        page.on("console", lambda m: m.type == "error" and faults.append(f"console: {m.text}"))
        page.on("response", lambda r: r.status >= 400 and faults.append(f"{r.status}: {r.url}"))
        page.goto(urljoin(address, path), wait_until="networkidle")
        return page

    yield opened
    for context in contexts:
        context.close()


@pytest.fixture(scope="session")
def pages(site):
    """Return paths of all pages, the front page's redirection left out."""
    found = [p.relative_to(site).as_posix() for p in sorted(site.rglob("*.html"))]
    return [p for p in found if p != "index.html" and not p.startswith("_static/")]


@pytest.fixture(scope="session")
def chapters(pages):
    return [p for p in pages if p.startswith("notebooks/")]


def test_first_page_leads_to_the_front_page(open_page):
    page = open_page("index.html")
    page.wait_for_url("**/book/intro.html")
    assert "reproductions" in page.locator("article h1").inner_text()
    assert page.faults == []


@pytest.mark.parametrize(("width", "scheme"), [(DESKTOP, "light"), (PHONE, "dark")])
def test_every_page_is_whole_and_does_not_scroll_sideways(open_page, pages, address, width, scheme):
    page = open_page(pages[0], width, scheme)
    wide, garbled = [], []
    for path in pages:
        page.goto(urljoin(address, path), wait_until="networkidle")
        if page.evaluate("document.documentElement.scrollWidth > window.innerWidth"):
            wide.append(path)
        garbled += [path] * page.locator(FAULTY_FORMULA).count()
    assert page.faults == []
    assert wide == []
    assert garbled == []


@pytest.fixture(scope="session")
def axe():
    """Path of axe-core's script."""
    kept = paths.ROOT / "_build" / "vendor"
    return vendor.install(Path(__file__).with_name("package.json"), kept, AXE) / "axe/axe.min.js"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_are_accessible(open_page, pages, address, axe, scheme):
    page = open_page(pages[0], DESKTOP, scheme)
    for path in pages:
        page.goto(urljoin(address, path), wait_until="networkidle")
        page.add_script_tag(path=axe)
        look = "rules => axe.run({runOnly: rules}).then(found => found.violations)"
        found = page.evaluate(look, RULES)
        assert [
            (path, v["id"], v["nodes"][0]["html"], v["nodes"][0]["failureSummary"]) for v in found
        ] == []
    page.evaluate("document.body.append(Object.assign(new Image(), {src: 'data:image/gif;,'}))")
    assert "image-alt" in [v["id"] for v in page.evaluate(look, RULES)], "a fault is found"


def test_site_is_light(site, chapters):
    megabyte = 1e6
    assert sum(f.stat().st_size for f in site.rglob("*") if f.is_file()) < 40 * megabyte
    assert all((site / path).stat().st_size < 5 * megabyte for path in chapters)


def test_headings_come_in_order(open_page, pages, address):
    page = open_page(pages[0])
    for path in pages:
        page.goto(urljoin(address, path), wait_until="domcontentloaded")
        tags = page.eval_on_selector_all(
            "article :is(h1, h2, h3, h4)", "all => all.map(h => h.tagName)"
        )
        levels = [int(tag[1]) for tag in tags]
        assert levels[:1] == ([] if path == "search.html" else [1]), path
        assert all(b <= a + 1 for a, b in pairwise(levels)), path


def test_a_fault_is_seen(open_page, address):
    """The other tests can fail: a remote picture, a broken script and a missing file all count."""
    page = open_page("book/intro.html")
    page.evaluate("""() => {
        for (const src of ["https://example.org/a.png", "nothing.png"])
            document.body.append(Object.assign(new Image(), {src}));
        setTimeout(() => { throw new Error("ours"); });
    }""")
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(200)
    seen = "\n".join(page.faults)
    assert "remote request: https://example.org/a.png" in seen
    assert re.search(r"404: .*nothing\.png", seen)
    assert "script: ours" in seen


def test_page_opened_as_a_file_renders(browser, site, chapters):
    """From a file Chromium refuses to preload the theme's fonts, and loads them all the same."""
    context = browser.new_context(offline=True)
    page = context.new_page()
    failed = []
    page.on("requestfailed", lambda r: "fontawesome" in r.url or failed.append(r.url))
    page.goto((site / chapters[0]).as_uri(), wait_until="networkidle")
    page.locator("mjx-container").first.wait_for()
    page.locator(".jupyter-widgets img:visible").first.wait_for()
    context.close()
    assert failed == []


def test_first_view_needs_no_scripts(browser, address, pages, chapters):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    for path in [p for p in pages if p.endswith("book/intro.html")] + chapters:
        page.goto(urljoin(address, path))
        assert page.locator("article h1").is_visible(), path
        assert page.locator("article p").first.is_visible(), path
        assert page.locator("article :is(table, svg, img)").first.is_visible(), path
    context.close()


def test_no_internal_link_is_broken(open_page, pages, site, address):
    page = open_page(pages[0])
    anchors, links = {}, []
    for path in pages:
        here = urljoin(address, path)
        page.goto(here, wait_until="domcontentloaded")
        anchors[here] = set(page.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)"))
        found = page.eval_on_selector_all("a[href]", "all => all.map(a => a.href)")
        links += [(path, *urldefrag(link)) for link in found if link.startswith(address)]
    assert len(links) > 50
    assert [
        (path, goal, anchor)
        for path, goal, anchor in links
        if not (site / urlsplit(goal).path.lstrip("/")).exists()
        or (anchor and goal in anchors and unquote(anchor) not in anchors[goal])
    ] == []


def test_mathematics_is_drawn(open_page):
    page = open_page("book/methods.html")
    page.locator("mjx-container svg").first.wait_for()
    assert page.locator("mjx-container[display=true]").count() >= 3
    assert page.locator(FAULTY_FORMULA).count() == 0
    page.evaluate("document.body.append(MathJax.tex2svg(String.raw`c_\\\\theta`))")
    assert page.locator(FAULTY_FORMULA).count() > 0, "one that is wrong is found"


def test_sliders_change_their_pictures_by_keyboard(open_page, chapters):
    """Every slider on every chapter, moved to its other end, shows another picture."""
    for path in chapters:
        page = open_page(path)
        page.locator(".jupyter-widgets img:visible").first.wait_for()
        sliders = page.locator(".widget-slider [role=slider], .widget-slider .noUi-handle")
        assert sliders.count() >= 1
        for slider in sliders.all():
            before = _pictures(page)
            slider.focus()
            told = slider.get_attribute("aria-valuetext")
            assert (
                told
                == slider.locator(
                    "xpath=ancestor::*[contains(@class, 'widget-slider')]"
                    "//*[contains(@class, 'widget-readout')]"
                ).inner_text()
            )
            page.keyboard.press("ArrowRight")
            page.wait_for_function(
                "old => JSON.stringify([...document.querySelectorAll('.jupyter-widgets img')]"
                ".filter(i => i.offsetParent).map(i => i.src)) !== old",
                arg=before,
            )
            page.wait_for_function(
                "([handle, old]) => handle.getAttribute('aria-valuetext') !== old",
                arg=[slider.element_handle(), told],
            )
        assert page.faults == []


def _pictures(page):
    return page.evaluate(
        "JSON.stringify([...document.querySelectorAll('.jupyter-widgets img')]"
        ".filter(i => i.offsetParent).map(i => i.src))"
    )


def test_search_finds_a_word_of_each_chapter_and_of_the_glossary(open_page, chapters):
    words = {"book/glossary.html": "Kullback"}
    words |= {c: _own_word(open_page(c).locator("article").inner_text()) for c in chapters}
    for path, word in words.items():
        page = open_page(f"search.html?q={word}")
        hit = page.locator(f"#search-results a[href*='{path}']").first
        hit.wait_for()
        assert page.faults == []


def _own_word(text):
    """Return a long lower-case word of a chapter's text."""
    return max(re.findall(r"\b[a-z]{8,14}\b", text), key=len)


def test_a_part_of_a_bar_leads_to_its_claims(open_page):
    page = open_page("book/intro.html")
    part = page.locator(".verdict-bars [role=group] a").first
    n, verdict = part.get_attribute("aria-label").split(" ", 1)
    part.click()
    page.locator(".ledger-controls output").wait_for()
    found = page.locator("table.ledger tbody tr:visible .sd-badge:last-of-type").all_inner_texts()
    assert page.get_by_label("verdict", exact=True).input_value() == verdict
    assert found == [verdict] * int(n)
    assert page.faults == []


def test_ledger_is_complete_and_linked_by_claim(open_page):
    page = open_page("book/ledger.html")
    assert page.locator("table.ledger tbody tr").count() == len(claims.load())
    verdicts = page.locator("table.ledger .sd-badge").all_inner_texts()
    assert len(verdicts) >= len(claims.load())
    assert set(verdicts) <= set(BADGES)
    first = claims.load()[0].id.lower()
    assert page.locator(f"table.ledger [id='{first}']").count() == 1


@pytest.mark.parametrize("width", [DESKTOP, PHONE])
def test_ledger_filters_and_sorts(open_page, width):
    page = open_page("book/ledger.html", width)
    rows = page.locator("table.ledger tbody tr")
    order = list(chapter_titles())
    everything = sorted(claims.load(), key=lambda claim: order.index(claim.notebook))

    def shown():
        return [row for row in rows.all() if row.is_visible()]

    assert page.locator(".ledger-controls output").inner_text() == f"{len(everything)} claims"
    page.get_by_label("source", exact=True).select_option(everything[0].source)
    of_source = [claim for claim in everything if claim.source == everything[0].source]
    assert len(shown()) == len(of_source) < len(everything)
    page.get_by_label("verdict", exact=True).select_option("not run")
    verdicts = [row.locator(".sd-badge").last.inner_text() for row in shown()]
    assert set(verdicts) <= {"not run"}
    count = page.locator(".ledger-controls output")
    assert count.inner_text().startswith(f"{len(verdicts)} claim" if verdicts else "no claim")
    assert "verdict=not+run" in page.url

    page.get_by_label("verdict", exact=True).select_option("all")
    page.get_by_label("order", exact=True).select_option("verdict")
    page.get_by_label("source", exact=True).select_option("all")
    ranks = [list(BADGES).index(row.locator(".sd-badge").last.inner_text()) for row in shown()]
    assert len(ranks) == len(everything)
    assert ranks == sorted(ranks), "over all sources"
    page.get_by_label("source", exact=True).select_option(everything[0].source)
    page.get_by_label("order", exact=True).select_option("number")
    ids = [row.locator("[id]").first.get_attribute("id") for row in shown()]
    assert ids == [claim.id.lower() for claim in of_source]

    other = next(c.id.lower() for c in everything if c.source != everything[0].source)
    page.evaluate(f"location.hash = '#{other}'")
    page.locator(f"[id='{other}']").wait_for(state="visible")
    assert page.faults == []
