"""Without a network, with a server that is gone, with a connection that died in silence: the page says so, and misses
nothing once it is back."""

import re

from warren import Api, add, expect, expect_live, expect_titles, note, open_page, open_session, watched_browser


def main():
    with watched_browser() as watched:
        world = watched.world
        watched.expects(
            r"(WebSocket connection to .*failed|Failed to load resource: net::ERR_)", "the server is gone: that is the test"
        )
        urls = world.urls
        api = Api(watched.playwright, urls[1])
        api.register("dora")
        context = watched.context(viewport={"width": 1180, "height": 760})
        tokens = []
        context.on("request", lambda request: tokens.append(request.headers.get("authorization")))
        page = open_session(context, urls[0], "dora")
        add(page, "Before", "5")
        add(page, "To be deleted", "5")
        expect_titles(page, ["To be deleted", "Before"])
        # Another client of the same session: with a login of its own it would end this one.
        api.access = next(token for token in tokens if token).removeprefix("Bearer ")

        def task(title):
            return next(task["id"] for task in api.send("GET", "/api/tasks/") if task["title"] == title)

        # The device has no network.
        context.set_offline(True)
        expect(page.locator("#banner")).to_contain_text("You are offline. What you see may be old")
        expect(page.locator("#state")).to_have_text("Offline")
        add(page, "Not now", "5")
        expect(page.locator("#new-task-fault")).to_contain_text("You are offline.")
        expect(page.get_by_label("What is to be done?")).to_have_value("Not now")
        page.get_by_role("button", name="Delete “Before”").click()
        page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text("You are offline.")
        watched.picture(page, "offline")
        page.keyboard.press("Escape")
        api.send("POST", "/api/tasks/", {"title": "Made meanwhile", "duration": 60}, 201)
        api.send("PATCH", f"/api/tasks/{task('Before')}/", {"title": "Renamed meanwhile"})
        api.send("DELETE", f"/api/tasks/{task('To be deleted')}/", status=204)
        expect_titles(page, ["To be deleted", "Before"])
        context.set_offline(False)
        expect_live(page)
        expect(page.locator("#banner")).to_be_hidden()
        expect_titles(page, ["Made meanwhile", "Renamed meanwhile"])
        page.get_by_role("button", name="Add").click()
        expect_titles(page, ["Not now", "Made meanwhile", "Renamed meanwhile"])
        note("offline and back")

        # The server dies, and another one does what is done meanwhile.
        world.wish("kill", api=0)
        expect(page.locator("#banner")).to_contain_text("The connection was lost. What you see may be old.")
        expect(page.get_by_role("button", name=re.compile("Try now"))).to_be_visible()
        watched.picture(page, "connection-lost")
        add(page, "Into the void", "5")
        expect(page.locator("#new-task-fault")).to_contain_text("No answer came.")
        api.send("DELETE", f"/api/tasks/{task('Not now')}/", status=204)
        world.wish("start", api=0)
        expect_live(page)
        expect(page.locator("#banner")).to_be_hidden()
        expect_titles(page, ["Made meanwhile", "Renamed meanwhile"])
        page.get_by_role("button", name="Add").click()
        expect_titles(page, ["Into the void", "Made meanwhile", "Renamed meanwhile"])
        note("killed and back")

        # The task is made, and the answer is lost: whoever presses the button again makes no second one.
        def lose_the_answer(route):
            assert route.fetch().status == 201
            route.abort()

        page.route("**/api/tasks/", lose_the_answer, times=1)
        add(page, "Made once", "5")
        expect(page.locator("#new-task-fault")).to_contain_text("No answer came.")
        # However much later.
        page.evaluate("""() => {
            for (const clock of [performance, Date]) {
                const now = clock.now.bind(clock);
                clock.now = () => now() + 30 * 60_000;
            }
        }""")
        with page.expect_response("**/api/tasks/") as again:
            page.get_by_role("button", name="Add").click()
        assert again.value.status == 201, again.value.status
        expect(page.locator("#new-task-fault")).to_be_hidden()
        page.reload()
        expect_live(page)
        expect_titles(page, ["Made once", "Into the void", "Made meanwhile", "Renamed meanwhile"])
        note("made once")

        # Whoever writes something else, and then the same again, means another task.
        page.route("**/api/tasks/", lose_the_answer, times=1)
        add(page, "Made twice", "5")
        expect(page.locator("#new-task-fault")).to_contain_text("No answer came.")
        page.get_by_label("What is to be done?").fill("Made")
        add(page, "Made twice", "5")
        expect_titles(page, ["Made twice", "Made twice", "Made once", "Into the void", "Made meanwhile", "Renamed meanwhile"])
        note("made twice")

        # The connection dies, and nobody is told.
        quiet = world.wish("proxy", api=1)
        watched.hosts.add(quiet.split("//")[1])
        window = open_page(context, quiet)
        expect_live(window)
        world.wish("cut")
        expect(window.locator("#banner")).to_contain_text("What you see may be old")
        note("silence noticed")


main()
