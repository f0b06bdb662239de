"""Two windows renew their tokens again and again, each refresh token is good once and no second use is forgiven."""

from warren import Api, expect, expect_live, expect_titles, add, open_page, open_session, watched_browser

RENEWALS = 2
COLLISIONS = 5


def main():
    with watched_browser() as watched:
        url = watched.world.urls[0]
        Api(watched.playwright, url).register("carol")
        context = watched.context()
        sockets, renewals = {}, {}

        def count(page):
            page.on("websocket", lambda _: sockets.update({page: sockets.get(page, 0) + 1}))
            renewals[page] = 0

        def renewed(response):
            if response.url.endswith("/session/refresh"):
                assert response.status in (200, 204), response.status
                page = response.frame.page
                renewals[page] = renewals.get(page, 0) + 1

        context.on("page", count)
        context.on("response", renewed)
        one = open_session(context, url, "carol")
        other = open_page(context, url)
        expect_live(other)
        first = context.cookies([f"{url}/real_data"])[0]["value"]
        # The first is what the page begins with.
        for page in (one, other):
            while renewals[page] < RENEWALS + 1:
                page.wait_for_event("response", lambda response: response.url.endswith("/session/refresh"))
        assert context.cookies([f"{url}/real_data"])[0]["value"] != first
        add(one, "Still here")
        for page in (one, other):
            expect_live(page)
            expect_titles(page, ["Still here"])
            expect(page.locator("#banner")).to_be_hidden()
        # A new token prolongs the stream; nobody had to connect again.
        assert list(sockets.values()) == [1, 1], sockets

        # Both at the same moment, again and again: they take turns.
        for _ in range(COLLISIONS):
            for page in (one, other):
                page.evaluate("() => { window.isOld = true; setTimeout(() => location.reload()); }")
            for page in (one, other):
                page.wait_for_function("!window.isOld")
                expect_live(page)


main()
