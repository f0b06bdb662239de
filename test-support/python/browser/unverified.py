"""Whoever has not proved an address can't log in on the page, and learns no more than anybody who guesses."""

from warren import Api, expect, log_in, open_page, watched_browser


def main():
    with watched_browser() as watched:
        watched.expects(r"status of 401 .*/real_data/session\)", "these logins are refused, on purpose")
        url = watched.world.urls[0]
        Api(watched.playwright, url).register("uma")
        page = open_page(watched.context(), url)
        told = []
        for name, password in (("uma", "correct horse battery"), ("uma", "a wrong one"), ("nobody", "correct horse battery")):
            with page.expect_response("**/real_data/session") as answer:
                log_in(page, name, password)
            assert answer.value.status == 401 and "set-cookie" not in answer.value.all_headers()
            expect(page.get_by_role("alert")).to_contain_text("No active account found with the given credentials.")
            told.append(page.get_by_role("alert").inner_text())
        assert len(set(told)) == 1, told
        watched.picture(page, "unverified")
        # The same browser, once the link of the mail is used.
        assert watched.world.sql("UPDATE users SET email_verified_at = now() WHERE username = 'uma'") == 1
        log_in(page, "uma")
        expect(page.locator("#who")).to_have_text("uma")


main()
