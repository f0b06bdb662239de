"""A session that somebody ends closes its windows, and each says why."""

from warren import Api, expect, log_in, note, open_page, open_session, watched_browser, expect_live

OF = "user_id = (SELECT id FROM users WHERE username = 'ben')"


def main():
    with watched_browser() as watched:
        watched.expects(
            r"status of 401 .*/real_data/session(/refresh)?\)",
            "the page asks once whether the browser has another session by now, and the answer is no; and a refused login",
        )
        urls = watched.world.urls
        api = Api(watched.playwright, urls[0])
        for name in ("ben", "staff"):
            api.register(name)
        watched.world.sql("UPDATE users SET is_staff = true WHERE username = 'staff'")
        staff = Api(watched.playwright, urls[1])
        staff.log_in("staff")
        context = watched.context()
        one, other = open_session(context, urls[0], "ben"), open_page(context, urls[1])
        expect_live(other)

        def again():
            for window in (one, other):
                if window is one:
                    log_in(window, "ben")
                else:
                    # The same browser has a session by now.
                    window.reload()
                expect_live(window)

        def both_are_out(words):
            for window in (one, other):
                expect(window.get_by_role("heading", name="Log in")).to_be_visible()
                expect(window.locator("#log-in-reason")).to_contain_text(words)
            note("closed:", words)

        # By staff.
        ben = next(user["id"] for user in staff.send("GET", "/api/users/") if user["username"] == "ben")
        session = staff.send("GET", f"/api/sessions/?user_id={ben}")[0]["id"]
        staff.send("DELETE", f"/api/sessions/{session}/", status=204)
        both_are_out("session was ended")
        watched.picture(other, "session-ended-elsewhere")

        # By an operator with SQL, behind the back of every program.
        again()
        ended = watched.world.sql(
            f"UPDATE user_sessions SET is_active = false, logout_time = now(), end_reason = 'logout' WHERE is_active AND {OF}"
        )
        assert ended == 1
        both_are_out("session was ended")

        # By a newer login on another device.
        again()
        Api(watched.playwright, urls[1]).log_in("ben")
        both_are_out("session was ended")

        # By its user, from the list of sessions.
        again()
        one.get_by_role("button", name="Log out: end this session").click()
        expect(one.locator("#log-in-reason")).to_contain_text("You are logged out.")
        expect(other.locator("#log-in-reason")).to_contain_text("Your session was ended")

        # With the account.
        again()
        assert watched.world.sql("UPDATE users SET is_active = false WHERE username = 'ben'") == 1
        for window in (one, other):
            expect(window.get_by_role("heading", name="Log in")).to_be_visible()
        log_in(one, "ben")
        expect(one.get_by_role("alert")).to_contain_text("No active account found with the given credentials")


main()
