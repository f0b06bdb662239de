"""The server of a window loses its subscription to changes: the page says so, and is right again by itself."""

import time

from warren import Api, PATIENCE_MS, expect, expect_live, expect_titles, note, open_page, open_session, watched_browser

WATCH = """() => {
    const state = document.getElementById('state');
    window.seen = [];
    new MutationObserver(() => window.seen.push(state.dataset.state)).observe(state, { attributeFilter: ['data-state'] });
}"""


def main():
    with watched_browser() as watched:
        world = watched.world
        api = Api(watched.playwright, world.urls[1])
        api.register("lea")
        context = watched.context()
        tokens = []
        context.on("request", lambda request: tokens.append(request.headers.get("authorization")))
        here = open_session(context, world.urls[0], "lea")
        there = open_page(context, world.urls[1])
        windows = [here, there]
        for window in windows:
            expect_live(window)
            window.evaluate(WATCH)
        api.access = next(token for token in tokens if token).removeprefix("Bearer ")
        # The broker's list of its connections is some seconds old.
        deadline = time.monotonic() + PATIENCE_MS / 1000
        while not all(window.evaluate("window.seen.includes('stale')") for window in windows):
            assert time.monotonic() < deadline, "no window heard of it"
            world.wish("close connections", part="listens for realtime")
            here.wait_for_timeout(200)
        for window in windows:
            note("seen:", window.evaluate("window.seen"))
        made = api.send("POST", "/api/tasks/", {"title": "Made meanwhile", "duration": 60}, 201)
        for window in windows:
            expect_live(window)
            expect(window.locator("#banner")).to_be_hidden()
            expect_titles(window, ["Made meanwhile"])
        # And it hears again.
        api.send("PATCH", f"/api/tasks/{made['id']}/", {"title": "Renamed"})
        for window in windows:
            expect_titles(window, ["Renamed"])


main()
