"""What the tests of the page share: Chromium, the world around it, and a watch over all that goes wrong in silence.

Standard input and output belong to the test that started this (`test-support/src/browser.rs`): a wish a line, an answer
a line. Everything for people goes to standard error.
"""

import json
import os
import re
import sys
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import expect, sync_playwright

PASSWORD = "correct horse battery"
# Builds run beside the tests: nothing here waits for its time to pass, so a long limit costs nothing.
PATIENCE_MS = 90_000
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]
# Anything that is a token: three parts of base64, of which the first is a JSON object.
TOKEN = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]+|warren_refresh")

expect.set_options(timeout=PATIENCE_MS)


def note(*words):
    print(*words, file=sys.stderr, flush=True)


class World:
    """The test that started this."""

    def __init__(self):
        self.given = json.loads(sys.stdin.readline())
        self.urls = self.given["urls"]

    def wish(self, do, **more):
        print(json.dumps({"do": do, **more}), flush=True)
        return json.loads(sys.stdin.readline())

    def sql(self, text):
        return self.wish("sql", sql=text)


class Api:
    """A client of the API that is no browser."""

    def __init__(self, playwright, url):
        self.requests = playwright.request.new_context(base_url=url, timeout=PATIENCE_MS)
        self.access = None

    def send(self, method, path, data=None, status=200):
        headers = {"Authorization": f"Bearer {self.access}"} if self.access else {}
        answer = self.requests.fetch(path, method=method, data=data, headers=headers)
        assert answer.status == status, f"{method} {path}: {answer.status} {answer.text()}"
        return answer.json() if answer.text() else None

    def register(self, username):
        account = {"username": username, "email": f"{username}@example.com", "password": PASSWORD}
        self.send("POST", "/api/register/", account, 201)

    def log_in(self, username):
        self.access = None
        self.access = self.send("POST", "/api/login/", {"username": username, "password": PASSWORD})["access"]


class Watched:
    """The browser, and everything that must not happen in it."""

    def __init__(self, world, playwright, browser):
        self.world = world
        self.playwright = playwright
        self.browser = browser
        self.contexts = []
        self.noise = []
        self.expected = []
        self.hosts = {urlsplit(url).netloc for url in world.urls}

    def context(self, **options):
        """A profile of its own, with cookies of its own."""
        context = self.browser.new_context(**options)
        context.set_default_timeout(PATIENCE_MS)
        context.on("console", lambda message: self.heard(message))
        context.on("weberror", lambda error: self.noise.append(f"exception: {error.error}"))
        context.on("request", lambda request: self.requested(request))
        context.on("page", lambda page: page.on("websocket", lambda socket: self.addressed("GET", socket.url)))
        context.add_init_script("""
            addEventListener('securitypolicyviolation', (event) => console.error(
                'CSP violation:', event.violatedDirective, event.blockedURI, event.sample));
            addEventListener('unhandledrejection', (event) => console.error('unhandled:', String(event.reason)));
        """)
        self.contexts.append(context)
        return context

    def heard(self, message):
        if message.type in ("error", "warning"):
            self.noise.append(f"console {message.type}: {message.text} ({message.location.get('url', '')})")

    def requested(self, request):
        self.addressed(request.method, request.url)

    def addressed(self, method, url):
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https", "ws", "wss"):
            return
        if parts.netloc not in self.hosts:
            self.noise.append(f"a request to another host: {method} {url}")
        if TOKEN.search(url):
            self.noise.append(f"a token in a URL: {method} {url}")

    def expects(self, pattern, reason):
        """Chromium itself writes a line to the console for each answer from 400 on, and for each connection that fails:
        here they belong to what is tested."""
        assert reason
        self.expected.append(re.compile(pattern))

    def assert_quiet(self):
        noise = [line for line in self.noise if not any(pattern.search(line) for pattern in self.expected)]
        assert not noise, "these were not expected:\n  " + "\n  ".join(noise)

    def assert_nothing_kept(self, page):
        """No token where a script could find it."""
        kept = page.evaluate("""async () => ({
            local: Object.entries(localStorage), session: Object.entries(sessionStorage), cookies: document.cookie,
            databases: await indexedDB.databases(), caches: await caches.keys(), url: location.href,
            markup: document.documentElement.outerHTML,
        })""")
        for place in ("local", "session", "databases", "caches"):
            assert kept[place] == [], f"{place}: {kept[place]}"
        assert kept["cookies"] == "", kept["cookies"]
        assert not TOKEN.search(kept["markup"]) and not TOKEN.search(kept["url"])

    def picture(self, page, name):
        folder = Path(self.world.given["screenshots"])
        folder.mkdir(parents=True, exist_ok=True)
        # A highlight half faded is no good picture.
        page.screenshot(path=folder / f"{name}.png", full_page=True, animations="disabled")


@contextmanager
def watched_browser():
    world = World()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=world.given["chromium"], args=FLAGS, timeout=PATIENCE_MS)
        watched = Watched(world, playwright, browser)
        try:
            yield watched
            watched.assert_quiet()
        except BaseException:
            # What the page looked like is worth more than a trace.
            for number, context in enumerate(watched.contexts):
                for page in context.pages:
                    try:
                        watched.picture(page, f"failed-{Path(sys.argv[0]).stem}-{number}-{context.pages.index(page)}")
                        note("--- a window:", page.url, "\n", page.locator("body").inner_text())
                    except Exception as problem:  # A page that is gone has nothing to show.
                        note("no picture:", problem)
            note("--- heard:", "\n  ".join(["", *watched.noise]))
            raise
        finally:
            browser.close()


def open_page(context, url):
    page = context.new_page()
    page.goto(f"{url}/real_data")
    return page


def log_in(page, username, password=PASSWORD):
    page.get_by_label("Username").fill(username)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()


def expect_live(page):
    expect(page.locator("#state")).to_have_attribute("data-state", "live")
    expect(page.locator("#list-card")).to_have_attribute("aria-busy", "false")


def expect_titles(page, titles):
    expect(page.locator("#rows .title")).to_have_text(titles)


def add(page, title, duration="20"):
    page.get_by_label("What is to be done?").fill(title)
    page.get_by_label("How long?").fill(duration)
    page.get_by_role("button", name="Add").click()


def open_session(context, url, username):
    page = open_page(context, url)
    log_in(page, username)
    expect_live(page)
    return page
