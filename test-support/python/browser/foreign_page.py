"""A page of another origin, in a browser that is logged in, tries everything a page can."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from warren import Api, expect, expect_live, expect_titles, add, note, open_session, watched_browser

# Each gives whether it got anything that was not for it.
ATTEMPTS = {
    "reads the tasks": "fetch(`${base}/api/tasks/`, { credentials: 'include' }).then((a) => a.status)",
    "reads the page": "fetch(`${base}/real_data`, { credentials: 'include' }).then((a) => a.text())",
    "reads a token by the cookie": """fetch(`${base}/real_data/session/refresh`,
        { method: 'POST', credentials: 'include' }).then((a) => a.text())""",
    "logs out": "fetch(`${base}/real_data/session`, { method: 'DELETE', credentials: 'include' }).then((a) => a.status)",
    "logs in as somebody else, as JSON": """fetch(`${base}/real_data/session`, { method: 'POST', credentials: 'include',
        headers: { 'Content-Type': 'application/json' }, body: account }).then((a) => a.status)""",
    "opens the stream": """new Promise((resolve) => {
        const socket = new WebSocket(`${base.replace('http', 'ws')}/ws/tasks/`, 'warren.tasks.v1');
        socket.onopen = () => resolve('open'); socket.onerror = () => resolve(undefined); })""",
    "frames the page": """new Promise((resolve) => {
        const frame = document.createElement('iframe'); frame.src = `${base}/real_data`;
        frame.onload = () => { try { resolve(frame.contentDocument?.body?.innerText || undefined) } catch { resolve(undefined) } };
        document.body.append(frame); })""",
    "loads its scripts": """new Promise((resolve) => {
        const script = document.createElement('script'); script.type = 'module'; script.src = `${base}/real_data/assets/app.js`;
        script.onload = () => resolve('loaded'); script.onerror = () => resolve(undefined); document.body.append(script); })""",
}
# These get no answer that they could read: what counts is that they change nothing.
BLIND = {
    "refreshes": "fetch(`${base}/real_data/session/refresh`, { method: 'POST', mode: 'no-cors', credentials: 'include' })",
    "logs in as somebody else, as text": """fetch(`${base}/real_data/session`, { method: 'POST', mode: 'no-cors',
        credentials: 'include', headers: { 'Content-Type': 'text/plain' }, body: account })""",
    "logs in by a form": """new Promise((resolve) => {
        const frame = document.createElement('iframe'); frame.name = 'target'; document.body.append(frame);
        const form = document.createElement('form'); form.method = 'post'; form.target = 'target';
        form.action = `${base}/real_data/session`; form.enctype = 'text/plain';
        const input = document.createElement('input'); input.name = '{"username":"mallory","password":"correct horse battery","x":"';
        input.value = '"}'; form.append(input); document.body.append(form);
        frame.onload = () => resolve(); form.submit(); })""",
    "logs out by the API": """fetch(`${base}/api/logout/`, { method: 'POST', mode: 'no-cors', credentials: 'include',
        headers: { 'Content-Type': 'text/plain' }, body: '{}' })""",
}


class Foreign(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>Foreign</title><link rel=icon href='data:,'><body>Win a rabbit!")

    def log_message(self, *_):
        pass


def tried(page, attempt, url, account):
    # What a browser blocks may never tell its page.
    patience = "new Promise((resolve) => setTimeout(resolve, 10_000))"
    return page.evaluate(f"([base, account]) => Promise.race([{patience}, ({attempt}).catch(() => undefined)])", [url, account])


def main():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Foreign)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with watched_browser() as watched:
        watched.expects(
            r"CORS policy|net::ERR_|status of 40[13]|WebSocket connection|frame-ancestors|X-Frame-Options|Refused to",
            "the browser tells a foreign page of everything that it is refused",
        )
        url = watched.world.urls[0]
        api = Api(watched.playwright, url)
        for name in ("erin", "mallory"):
            api.register(name)
        context = watched.context()
        page = open_session(context, url, "erin")
        add(page, "Mine")
        expect_titles(page, ["Mine"])
        cookie = context.cookies([f"{url}/real_data"])
        account = '{"username": "mallory", "password": "correct horse battery"}'
        # Another site, and another origin of the very same site, to which the browser sends the cookie all the same.
        for host in ("localhost", "127.0.0.1"):
            origin = f"http://{host}:{server.server_port}"
            watched.hosts.add(f"{host}:{server.server_port}")
            foreign = context.new_page()
            foreign.goto(origin)
            for what, attempt in ATTEMPTS.items():
                got = tried(foreign, attempt, url, account)
                assert got is None, f"{origin} {what}: {got}"
            assert not any(frame.url.startswith(url) for frame in foreign.frames), f"{origin} frames the page"
            for what, attempt in BLIND.items():
                tried(foreign, attempt, url, account)
                assert context.cookies([f"{url}/real_data"]) == cookie, f"{origin} {what}"
            # A window that it opens is cut off from it: it can neither steer it nor talk to it.
            foreign.evaluate("(base) => { window.other = open(`${base}/real_data`) }", url)
            foreign.wait_for_function("window.other.closed")
            foreign.close()
            note(origin, "got nothing")
        expect(page.locator("#who")).to_have_text("erin")
        add(page, "Still mine")
        expect_titles(page, ["Still mine", "Mine"])
        page.reload()
        expect_live(page)
        expect(page.locator("#who")).to_have_text("erin")
        expect_titles(page, ["Still mine", "Mine"])
        assert watched.world.sql("DELETE FROM user_sessions WHERE user_id = (SELECT id FROM users WHERE username = 'mallory')") == 0


main()
