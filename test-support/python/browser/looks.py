"""The page on a desk and on a phone, by day and by night, for eyes and for screen readers, and when things go wrong."""

import time

from axe_playwright_python.sync_playwright import Axe

from warren import Api, PATIENCE_MS, add, expect, expect_live, expect_titles, log_in, note, open_page, open_session, watched_browser

DESK = {"width": 1180, "height": 760}
PHONE = {"width": 360, "height": 740}
LONG = "Averylongtitlewithoutanyspacethatcouldbebrokenanywhere" * 3


def assert_accessible(page, where):
    violations = Axe().run(page).response["violations"]
    told = [f"{v['id']}: {v['help']}: " + "; ".join(node["html"][:120] for node in v["nodes"]) for v in violations]
    assert not told, f"{where}:\n  " + "\n  ".join(told)


# Wider than the window, or text that runs out of its box, where a box around it may hide it.
TOO_WIDE = """() => [...document.querySelectorAll('body *')].filter((node) => node.checkVisibility()
    && !node.closest('.visually-hidden, .skip, .who, .brand') && (node.getBoundingClientRect().right > innerWidth + 1
    || (node.matches('p, h1, h2, li, button, label') && node.scrollWidth > node.clientWidth + 1)))
    .map((node) => node.outerHTML.slice(0, 80))"""


def assert_fits(page, where):
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{where} scrolls sideways"
    assert page.evaluate(TOO_WIDE) == [], f"{where}: {page.evaluate(TOO_WIDE)}"


def every_state(watched, url, name, **options):
    """The same walk in each of the guises."""
    page = open_page(watched.context(reduced_motion="reduce", **options), url)

    def look(state):
        assert_fits(page, f"{name} {state}")
        assert_accessible(page, f"{name} {state}")
        watched.picture(page, f"{name}-{state}")

    expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_text("Type your username.")).to_be_visible()
    look("log-in")
    log_in(page, "fay")
    expect_live(page)
    expect(page.locator("#sessions li").first).to_be_visible()
    look("tasks")
    page.get_by_role("button", name="Rename “Dig").click()
    page.get_by_label("New title of “Dig").fill(" ")
    page.keyboard.press("Enter")
    expect(page.get_by_text("A task needs a title.")).to_be_visible()
    add(page, "Plan", "1:30")
    expect(page.get_by_text("Write 01:30:00 for hours, or 00:01:30 for minutes.")).to_be_visible()
    look("faults")
    page.get_by_label("How long?").fill("1h 30m")
    expect(page.locator("#duration-hint")).to_have_text("= 1\u00a0h 30\u00a0min")
    page.get_by_role("button", name="Delete “Read").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    look("question")
    page.keyboard.press("Escape")
    page.context.close()


def look_at_it_by_day_and_night(watched, page, state):
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        assert_fits(page, f"{state} {scheme}")
        assert_accessible(page, f"{state} {scheme}")
        watched.picture(page, f"{state}-{scheme}")


def buttons_are_large_enough(page):
    """Fingers need 44 px, or 24 px with room around."""
    small = page.evaluate("""() => [...document.querySelectorAll('button, input')].filter((node) => node.checkVisibility())
        .map((node) => [node.getBoundingClientRect(), node.outerHTML.slice(0, 80)])
        .filter(([box]) => box.height < 36 || box.width < 36).map(([, html]) => html)""")
    assert small == [], small


def what_goes_wrong_is_said(watched, url):
    watched.expects(r"status of (400|401|429|503)", "each of these is answered on purpose")
    page = open_session(watched.context(viewport=DESK), url, "fay")

    def once(pattern, method, **answer):
        page.route(pattern, lambda route: route.fulfill(**answer) if route.request.method == method else route.fallback(), times=1)

    once("**/api/tasks/", "POST", status=400, json={"title": ["The server says no."], "duration": ["Nor so long."]})
    add(page, "Refused")
    expect(page.locator("#title-fault")).to_have_text("The server says no.")
    expect(page.locator("#duration-fault")).to_have_text("Nor so long.")
    expect(page.get_by_label("What is to be done?")).to_be_focused()
    expect(page.get_by_label("What is to be done?")).to_have_attribute("aria-invalid", "true")
    once("**/api/tasks/", "POST", status=503, headers={"Retry-After": "5"}, json={"detail": "Service temporarily unavailable."})
    page.get_by_role("button", name="Add").click()
    expect(page.locator("#new-task-fault")).to_have_text("Warren can’t do this right now. Try again in 5 seconds.")
    once("**/api/tasks/", "POST", status=429, headers={"Retry-After": "30"}, json={"detail": "Request was throttled."})
    page.get_by_role("button", name="Add").click()
    expect(page.locator("#new-task-fault")).to_have_text("Too many tries. Try again in 30 seconds.")
    watched.picture(page, "refused")
    page.get_by_role("button", name="Add").click()
    expect(page.locator("#rows .title").first).to_have_text("Refused")
    expect(page.locator("#new-task-fault")).to_be_hidden()

    # Another device, ended from here.
    elsewhere = open_session(watched.context(viewport=PHONE, user_agent="Mozilla/5.0 (Android 15) Firefox/144.0"), url, "fay")
    page.reload()
    expect_live(page)
    page.get_by_role("button", name="End the session of Firefox on Android").click()
    expect(page.get_by_text("Firefox on Android")).to_have_count(0)
    expect(page.get_by_role("heading", name="Your sessions")).to_be_focused()
    expect(elsewhere.locator("#log-in-reason")).to_contain_text("Your session was ended")

    # The token, for the API's documents.
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy access token").click()
    expect(page.locator("#copy-result")).to_contain_text("Copied.")
    token = page.evaluate("navigator.clipboard.readText()")
    api = Api(watched.playwright, url)
    api.access = token
    assert api.send("GET", "/api/users/me/")["username"] == "fay"

    # A name that is guessed at.
    guess = open_page(watched.context(viewport=DESK), url)
    log_in(guess, "gus", "wrong password")
    expect(guess.get_by_role("alert")).to_contain_text("No active account found with the given credentials.")
    for _ in range(10):
        with guess.expect_response("**/real_data/session"):
            guess.get_by_role("button", name="Log in").click()
    expect(guess.get_by_role("alert")).to_contain_text("Too many tries. Try again in")
    watched.picture(guess, "too-many-tries")


def a_server_that_hears_late_is_said(watched, url):
    """What the server says of itself while RabbitMQ is away."""
    page = watched.context(viewport=DESK).new_page()
    sockets = []

    def between(page_side):
        server_side = page_side.connect_to_server()
        sockets.append((page_side, server_side))

    page.route_web_socket("**/ws/tasks/**", between)
    page.goto(f"{url}/real_data")
    log_in(page, "fay")
    expect_live(page)
    page_side, _ = sockets[0]
    page_side.send('{"type": "stale"}')
    expect(page.locator("#banner")).to_contain_text("Changes arrive late at the moment.")
    look_at_it_by_day_and_night(watched, page, "stale")
    page.set_viewport_size(PHONE)
    look_at_it_by_day_and_night(watched, page, "stale-phone")
    page_side.send('{"type": "tasks", "tasks": [], "more": false}')
    expect_live(page)
    expect(page.locator("#banner")).to_be_hidden()
    expect(page.get_by_text("Nothing to do yet")).to_be_visible()
    page_side.send('{"type": "of a later version"}')
    add(page, "Still works")
    expect(page.locator("#rows .title").first).to_have_text("Still works")


def whoever_types_fast_loses_nothing(watched, url):
    page = open_session(watched.context(viewport=DESK), url, "fay")
    held = []
    page.route("**/api/tasks/", lambda route: held.append(route), times=1)
    with page.expect_request("**/api/tasks/"):
        add(page, "Typed first")
    page.get_by_role("button", name="Add").click()
    add(page, "Typed while the first is on its way", "30")
    page.get_by_label("What is to be done?").fill("Still being typed")
    held[0].continue_()
    expect(page.locator("#rows .title").nth(0)).to_have_text("Typed while the first is on its way")
    expect(page.locator("#rows .title").nth(1)).to_have_text("Typed first")
    expect(page.get_by_text("Typed first", exact=True)).to_have_count(1)
    expect(page.get_by_label("What is to be done?")).to_have_value("Still being typed")


def what_was_not_made_is_said_though_the_next_one_is(watched, url):
    watched.expects(r"status of 503", "answered on purpose")
    page = open_session(watched.context(viewport=DESK), url, "fay")
    held = []
    page.route("**/api/tasks/", lambda route: held.append(route), times=1)
    with page.expect_request("**/api/tasks/"):
        add(page, "Turned away")
    add(page, "Made right after")
    held[0].fulfill(status=503, json={"detail": "Service temporarily unavailable."})
    expect(page.locator("#rows .title").first).to_have_text("Made right after")
    expect(page.locator("#new-task-fault")).to_contain_text("“Turned away” was not added.")
    expect(page.get_by_label("What is to be done?")).to_have_value("")


def each_task_that_was_not_made_is_said_until_it_is_tried_again(watched, url):
    watched.expects(r"status of 503|net::ERR_FAILED", "answered on purpose, or not at all")
    page = open_session(watched.context(viewport=DESK), url, "fay")
    fault = page.locator("#new-task-fault")
    held = Held(page, "**/api/tasks/", times=2)
    add(page, "Turned away too")
    add(page, "Never answered")
    page.get_by_label("What is to be done?").fill("Still being typed")
    held.wait_for(0).fulfill(status=503, json={"detail": "Service temporarily unavailable."})
    held.wait_for(1).abort()
    expect(fault).to_contain_text("“Never answered” may not have been added.")
    expect(fault).to_contain_text("“Turned away too” was not added.")
    assert_fits(page, "two that were lost")
    assert_accessible(page, "two that were lost")
    watched.picture(page, "two-lost")
    page.get_by_label("How long?").fill("")
    page.keyboard.press("Enter")
    expect(page.locator("#duration-fault")).to_be_visible()
    expect(fault).to_contain_text("“Never answered” may not have been added.")
    expect(fault).to_contain_text("“Turned away too” was not added.")
    add(page, "Turned away too")
    expect(page.locator("#rows .title").first).to_have_text("Turned away too")
    expect(fault).not_to_contain_text("Turned away too")
    expect(fault).to_contain_text("“Never answered” may not have been added.")

    # Whoever is gone leaves nothing in the document, whatever is answered later.
    held = Held(page, "**/api/tasks/", times=1)
    add(page, "Nobody's business")
    held.wait_for(0)
    page.get_by_role("button", name="Log out", exact=True).click()
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    with page.expect_response("**/api/tasks/"):
        held.wait_for(0).fulfill(status=503, json={"detail": "Service temporarily unavailable."})
    page.wait_for_timeout(200)
    for title in ("Nobody's business", "Never answered"):
        assert title not in page.content(), title


def an_answer_that_comes_late_leaves_another_question_alone(watched, url):
    watched.expects(r"status of 503", "answered on purpose")
    page = open_session(watched.context(viewport=DESK), url, "fay")
    for title in ("Asked last", "Asked then", "Asked first"):
        add(page, title)
        expect(page.locator("#rows .title").first).to_have_text(title)
    dialog = page.get_by_role("dialog")

    def ask(title):
        page.get_by_role("button", name=f"Delete “{title}”").click()
        expect(dialog).to_contain_text(title)

    held = Held(page, "**/api/tasks/*/", times=2)
    ask("Asked first")
    dialog.get_by_role("button", name="Delete").click()
    held.wait_for(0)
    page.keyboard.press("Escape")
    ask("Asked then")
    held.wait_for(0).continue_()
    expect(page.get_by_text("Asked first", exact=True)).to_have_count(0)
    expect(dialog).to_contain_text("Asked then")
    dialog.get_by_role("button", name="Delete").click()
    held.wait_for(1)
    page.keyboard.press("Escape")
    ask("Asked last")
    with page.expect_response("**/api/tasks/*/"):
        held.wait_for(1).fulfill(status=503, json={"detail": "Service temporarily unavailable."})
    page.wait_for_timeout(200)
    expect(dialog.get_by_role("alert")).to_be_hidden()
    dialog.get_by_role("button", name="Delete").click()
    expect(dialog).to_be_hidden()
    expect(page.get_by_text("Asked last", exact=True)).to_have_count(0)
    expect(page.get_by_text("Asked then", exact=True)).to_have_count(1)


def a_page_that_stood_still_connects_again(watched, url):
    page = watched.context(viewport=DESK).new_page()
    sockets = Sockets(page)
    page.goto(f"{url}/real_data")
    log_in(page, "hal")
    # The browser lets a page in the background sleep: no token comes in time.
    sockets.wait_for(0).close(code=1008, reason="no token came in time")
    sockets.wait_for(1).close(code=1008, reason="not understood")
    expect(page.locator("#state")).to_have_attribute("data-state", "stopped")
    # Somebody looks at it.
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    sockets.wait_for(2).send('{"type": "tasks", "tasks": [], "more": false}')
    expect_live(page)


class Awaited:
    """What the page asks for, in the order in which it does."""

    def __init__(self, page):
        self.page = page
        self.come = []

    def wait_for(self, place):
        deadline = time.monotonic() + PATIENCE_MS / 1000
        while len(self.come) <= place:
            assert time.monotonic() < deadline, f"number {place} never came"
            self.page.wait_for_timeout(20)
        return self.come[place]


class Held(Awaited):
    """Requests that are not answered until somebody says how."""

    def __init__(self, page, pattern, times):
        super().__init__(page)
        page.route(pattern, lambda route: self.come.append(route), times=times)


class Sockets(Awaited):
    """Streams without a server behind them."""

    def __init__(self, page):
        super().__init__(page)
        page.route_web_socket("**/ws/tasks/**", lambda socket: self.come.append(socket))


def the_list_is_looked_at_in_each_state(watched, url):
    watched.expects(r"status of 503", "answered on purpose")
    for name, viewport in [("desk", DESK), ("phone", PHONE)]:
        page = watched.context(viewport=viewport).new_page()
        sockets = []

        def silent(page_side):
            sockets.append(page_side)

        # Opened, and nothing comes.
        page.route_web_socket("**/ws/tasks/**", silent)
        page.goto(f"{url}/real_data")
        log_in(page, "hal")
        expect(page.locator("#list-loading")).to_be_visible()
        look_at_it_by_day_and_night(watched, page, f"list-loading-{name}")
        sockets[-1].send('{"type": "tasks", "tasks": [], "more": false}')
        expect(page.locator("#list-loading")).to_be_hidden()
        expect(page.get_by_text("Nothing to do yet")).to_be_visible()
        look_at_it_by_day_and_night(watched, page, f"empty-{name}")
        older = ('{"type": "tasks", "tasks": [{"id": 1, "title": "Old", "duration": "00:05:00", '
                 '"created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z", "version": 1}], "more": true}')
        sockets[-1].send(older)
        page.route("**/api/tasks/?**", lambda route: route.fulfill(status=503, json={"detail": "Service temporarily unavailable."}), times=1)
        page.get_by_role("button", name="Show more").click()
        expect(page.locator("#list-fault")).to_contain_text("Warren can’t do this right now.")
        look_at_it_by_day_and_night(watched, page, f"list-fault-{name}")
        sockets[-1].send(older)
        expect(page.locator("#list-fault")).to_be_hidden()
        sockets[-1].close()
        expect(page.locator("#banner")).to_contain_text("What you see may be old.")
        look_at_it_by_day_and_night(watched, page, f"connection-lost-{name}")
        page.context.close()


def whoever_is_offline_can_still_read(watched, url):
    context = watched.context(viewport=PHONE)
    page = open_session(context, url, "fay")
    expect(page.locator("#rows .title").first).to_be_visible()
    context.set_offline(True)
    expect(page.locator("#banner")).to_contain_text("You are offline.")
    look_at_it_by_day_and_night(watched, page, "offline-phone")
    context.set_offline(False)
    expect_live(page)


def a_slow_or_dead_start_is_shown(watched, url):
    watched.expects(r"net::ERR_FAILED", "no answer came, on purpose")
    page = watched.context(viewport=DESK).new_page()
    page.route("**/real_data/session/refresh", lambda route: route.abort(), times=1)
    page.goto(f"{url}/real_data/")
    expect(page.get_by_role("heading", name="Warren can’t be reached")).to_be_visible()
    look_at_it_by_day_and_night(watched, page, "unreachable")
    page.set_viewport_size(PHONE)
    look_at_it_by_day_and_night(watched, page, "unreachable-phone")
    held = []
    page.route("**/real_data/session/refresh", lambda route: held.append(route), times=1)
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_text("Loading…")).to_be_visible()
    look_at_it_by_day_and_night(watched, page, "loading-phone")
    page.set_viewport_size(DESK)
    look_at_it_by_day_and_night(watched, page, "loading")
    held[0].continue_()
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()


def durations_are_read_as_people_write_them(page):
    read = page.evaluate("""async () => {
        const { parse, inWords, secondsOf } = await import('/real_data/assets/duration.js');
        const typed = ['90', '1', '01:30:00', '100:00:00', '1h', '1h 30m', '1 h 30 min', '45 min', '8784:00:00'];
        const refused = ['', '0', '1:30', 'soon', '-5', '1.5', '00:00:00', '01:60:00', '8784:00:01', 'h', '٣'];
        const shown = ['00:00:45', '01:30:00', '1 00:00:00', '366 00:00:00', '00:00:00.500000', '26:00:00'];
        return [typed.map((text) => parse(text).seconds), refused.filter((text) => !parse(text).fault),
            shown.map((text) => inWords(secondsOf(text)).replaceAll('\\u00a0', ' '))];
    }""")
    assert read == [
        [5400, 60, 5400, 360000, 3600, 5400, 5400, 2700, 31622400], [],
        ["45 s", "1 h 30 min", "1 d", "366 d", "0.5 s", "1 d 2 h"],
    ], read


def old_news_changes_nothing(page):
    """The rules by which news from two ways becomes one list."""
    titles = page.evaluate("""async () => {
        const { Tasks } = await import('/real_data/assets/tasks.js');
        const task = (id, version, title) => ({ id, version, title: title ?? `${id}.${version}`, created_at: `2026-01-01T00:00:${String(id).padStart(2, '0')}.000000Z` });
        const after = (...news) => { const tasks = new Tasks(); for (const act of news) act(tasks); return tasks.all().map(({ title }) => title).join(' '); };
        const list = (more, ...of) => (tasks) => tasks.replace(of, more);
        const put = (...of) => (tasks) => tasks.put(task(...of));
        const gone = (...of) => (tasks) => tasks.remove(...of);
        return [
            after(list(false), put(1, 1), put(2, 1)),
            after(list(false), put(1, 2), put(1, 1)),
            after(list(false), put(1, 1), gone(1, 2), put(1, 1), put(1, 3)),
            after(list(false), gone(1, 2), put(1, 1)),
            after(list(false, task(3, 1), task(2, 1)), list(false, task(3, 2))),
            after(list(true, task(3, 1), task(2, 1)), put(1, 5)),
            after(list(true, task(9, 1), task(8, 1)), (tasks) => tasks.extend([task(7, 1)], false), list(true, task(9, 1))),
            after(list(false), put(1, 1), list(false, task(1, 1, 'same'))),
        ];
    }""")
    assert titles == ["2.1 1.1", "1.2", "", "", "3.2", "3.1 2.1", "9.1 8.1 7.1", "1.1"], titles


def main():
    with watched_browser() as watched:
        url = watched.world.urls[0]
        api = Api(watched.playwright, url)
        for name in ("fay", "gus", "hal"):
            api.register(name)
        api.log_in("fay")
        for title, duration in [(LONG, "1 00:00:00"), ("Read the audit trail", "00:30:00"), ("Dig a burrow", "01:30:00")]:
            api.send("POST", "/api/tasks/", {"title": title, "duration": duration}, 201)
        for name, viewport, scheme in [
            ("desk-light", DESK, "light"), ("desk-dark", DESK, "dark"), ("phone-light", PHONE, "light"), ("phone-dark", PHONE, "dark")
        ]:
            every_state(watched, url, name, viewport=viewport, color_scheme=scheme)
            note("looked at", name)
        page = open_session(watched.context(viewport=PHONE, has_touch=True), url, "fay")
        buttons_are_large_enough(page)
        durations_are_read_as_people_write_them(page)
        old_news_changes_nothing(page)
        what_goes_wrong_is_said(watched, url)
        whoever_types_fast_loses_nothing(watched, url)
        what_was_not_made_is_said_though_the_next_one_is(watched, url)
        each_task_that_was_not_made_is_said_until_it_is_tried_again(watched, url)
        an_answer_that_comes_late_leaves_another_question_alone(watched, url)
        a_page_that_stood_still_connects_again(watched, url)
        the_list_is_looked_at_in_each_state(watched, url)
        a_server_that_hears_late_is_said(watched, url)
        whoever_is_offline_can_still_read(watched, url)
        a_slow_or_dead_start_is_shown(watched, url)


main()
