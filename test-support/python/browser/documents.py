"""From the page to the API's documents: a token from the one opens the other, and what is tried out there is real."""

import json
import re

from warren import PASSWORD, Api, expect, expect_live, expect_titles, note, open_session, watched_browser


def operation(page, id):
    """The operation, open, and ready to be tried out."""
    block = page.locator(f"[id$='-{id}']").first
    if not block.locator(".execute").is_visible():
        block.locator(".opblock-summary-control").click()
    expect(block.locator(".execute")).to_be_visible()
    return block


def execute(page, id, status, body=None):
    """What is answered to it, from the wire and on the screen."""
    block = operation(page, id)
    if body is not None:
        block.locator("textarea.body-param__text").fill(json.dumps(body))
    with page.expect_response(lambda answer: "/api/tasks/" in answer.url or "/api/login/" in answer.url) as told:
        block.locator(".execute").click()
    assert told.value.status == status, f"{id}: {told.value.status} {told.value.text()}"
    expect(block.locator(".live-responses-table .response-col_status").last).to_contain_text(str(status))
    return told.value.json()


def authorize(page, token):
    page.locator(".auth-wrapper .authorize").first.click()
    dialog = page.locator(".dialog-ux")
    dialog.locator("input").fill(token)
    dialog.get_by_role("button", name="Apply credentials").click()
    expect(dialog.get_by_role("button", name="Remove authorization")).to_be_visible()
    dialog.locator(".btn-done").click()
    expect(dialog).to_have_count(0)


def main():
    with watched_browser() as watched:
        watched.expects(r"status of 401 .*/api/tasks/\?limit=4\)", "the documents are asked without a token first, on purpose")
        url = watched.world.urls[0]
        Api(watched.playwright, url).register("ida")
        context = watched.context(viewport={"width": 1180, "height": 900})
        window = open_session(context, url, "ida")
        context.grant_permissions(["clipboard-read", "clipboard-write"], origin=url)
        window.get_by_role("button", name="Copy access token").click()
        expect(window.locator("#copy-result")).to_contain_text("Copied.")
        token = window.evaluate("navigator.clipboard.readText()")

        # The link of the page, in a window of its own so that the page can be watched.
        with context.expect_page() as opened:
            window.get_by_role("link", name="API documents").click(modifiers=["ControlOrMeta"])
        page = opened.value
        expect(page).to_have_url(re.compile("/swagger/"))
        expect(page.get_by_role("heading", name=re.compile("^Warren"))).to_be_visible()
        execute(page, "listTasks", 401)
        authorize(page, token)
        assert execute(page, "listTasks", 200) == []
        made = execute(page, "createTask", 201, {"title": "Tried out", "duration": "00:10:00"})
        assert made["title"] == "Tried out", made
        assert [task["id"] for task in execute(page, "listTasks", 200)] == [made["id"]]
        expect_titles(window, ["Tried out"])
        watched.picture(page, "swagger-tried-out")
        note("tried out with the token of the page")

        # A login that is tried out is the authorization.
        page.reload()
        execute(page, "listTasks", 401)
        execute(page, "logIn", 200, {"username": "ida", "password": PASSWORD})
        assert [task["id"] for task in execute(page, "listTasks", 200)] == [made["id"]]
        assert page.evaluate("[localStorage.length, sessionStorage.length, document.cookie]") == [0, 0, ""]
        note("tried out with a login of its own")


main()
