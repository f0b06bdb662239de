//! What the document says of accounts.

use serde_json::{Value, json};

use super::email::{RESEND, VERIFY_EMAIL};
use super::me::{ME, NAME_CHARACTERS_MAX, ProfileBody};
use super::pages::LINK_REFUSED;
use super::password::{CHANGE, CONFIRM_RESET, RESET, WRONG_PASSWORD, field_problem};
use super::register::{Account, REGISTER, USERNAME_TAKEN};
use crate::accounts::username::CHARACTERS_MAX;
use crate::openapi::{Field, Operation, email_address, exact_text, name_of_user, short_text, text};
use crate::problem::Problem;

const TAG: &str = "Accounts";
const TOKEN: &str = "vU4Kx6bUq0b3p0xXb2f8m1Yp3J8oVYk6cQ7f9y2oPZk";
const PASSWORD: &str = "correct horse battery";

const PASSWORD_RULES: &str = "At least 8 characters; none of the common passwords, not like the name or the address, and not \
                              easily guessed. Outer white space counts.";

/// The operations of accounts.
pub fn operations() -> Vec<Operation> {
    [registration(), of_links(), of_the_user()].concat()
}

fn registration() -> Vec<Operation> {
    let ada = json!({ "id": 7, "username": "ada", "email": "ada@example.com" });
    let credentials =
        json!({ "username": "$response.body#/username", "password": "$request.body#/password" });
    vec![
        Operation::new((TAG, &REGISTER), "POST", "register", "Make an account")
            .describe(
                "Makes an account, and mails a link with which its user proves the address. Who else has the address makes no \
                 difference to the answer.",
            )
            .takes([username(), email(), new_password("password")])
            .gives::<Account>(201, "The account.", ada)
            .leads_to_with_body(201, "logIn", &credentials)
            .leads_to_with_body(201, "obtainTokenPair", &credentials)
            .leads_to_with_body(201, "obtainSlidingToken", &credentials)
            .refuses("a name that is taken", fault("username", USERNAME_TAKEN))
            .refuses("a weak password", fault("password", "This password is too common."))
            .refuses("too many from one address", Problem::throttled(Some(30))),
    ]
}

fn of_links() -> Vec<Operation> {
    let token = json!({ "type": "string" });
    let token_words = "The link's token. It is not looked at; the page's button sends it.";
    let no_good = || fault("token", LINK_REFUSED);
    vec![
        Operation::new((TAG, &VERIFY_EMAIL), "GET", "showEmailVerification", "The page behind a mailed link")
            .describe("What a link that verifies an address opens: a page with a button. It uses nothing up.")
            .query("token", &token, token_words)
            .gives_page(200, "The page."),
        Operation::new((TAG, &VERIFY_EMAIL), "POST", "verifyEmail", "Verify an address")
            .describe("Uses the token of a mailed link, once. A browser gets a page.")
            .takes([text("token", TOKEN)])
            .gives_empty(200, "The address is verified.")
            .gives_page(200, "")
            .gives_page(400, "The link is not good any more, or a field is wrong.")
            .refuses("a link that is no good", no_good()),
        asks_for_mail(Operation::new((TAG, &RESEND), "POST", "resendEmailVerification", "Another link to verify"))
            .describe(
                "Mails another link, if an account has this address unverified. The answer does not tell. Of several accounts \
                 `username` says which comes first.",
            ),
        asks_for_mail(Operation::new((TAG, &RESET), "POST", "requestPasswordReset", "A link for a new password"))
            .describe(
                "Mails a link with which a new password is chosen, if an active account has this address. The answer does not \
                 tell. Of several accounts `username` says which comes first.",
            ),
        Operation::new((TAG, &CONFIRM_RESET), "GET", "showPasswordReset", "The page behind a mailed link")
            .describe("What a link for a new password opens: a page that asks for it. It uses nothing up.")
            .query("token", &token, token_words)
            .gives_page(200, "The page."),
        Operation::new((TAG, &CONFIRM_RESET), "POST", "confirmPasswordReset", "Choose a new password")
            .describe("Uses the token of a mailed link, once, and ends every session. A browser gets a page.")
            .takes([text("token", TOKEN), new_password("password")])
            .gives_empty(200, "There is a new password.")
            .gives_page(200, "")
            .gives_page(400, "The link is not good any more, or the password won't do.")
            .refuses("a link that is no good", no_good())
            .refuses("a weak password", fault("password", "This password is too common.")),
    ]
}

fn asks_for_mail(operation: Operation) -> Operation {
    operation
        .takes([email(), any("username", "ada")])
        .gives_empty(202, "Whoever has the address.")
        .refuses("no address", fault("email", "Enter a valid email address."))
        .refuses("too many from one address", Problem::throttled(Some(6)))
}

fn of_the_user() -> Vec<Operation> {
    let wrong = |field| fault(field, WRONG_PASSWORD);
    vec![
        Operation::new((TAG, &CHANGE), "POST", "changePassword", "Change the password")
            .takes([text("current_password", PASSWORD), new_password("new_password")])
            .gives_empty(200, "There is a new password, and no session is left.")
            .refuses("a wrong password", wrong("current_password"))
            .refuses("a weak password", fault("new_password", "This password is too common."))
            .refuses("too many wrong passwords", Problem::throttled(Some(60))),
        Operation::new((TAG, &ME), "GET", "getProfile", "One's own account")
            .describe("The account of the token's user.")
            .gives::<ProfileBody>(200, "The account.", profile()),
        Operation::new((TAG, &ME), "PATCH", "updateProfile", "Change one's own account")
            .describe("Changes what is named, all of it or nothing. Another address needs the password, and counts once it is verified.")
            .takes([
                username().or_left_out(),
                short_text("first_name", "Ada", NAME_CHARACTERS_MAX).blankable(),
                short_text("last_name", "Lovelace", NAME_CHARACTERS_MAX).blankable(),
                email().or_left_out(),
                text("password", PASSWORD).optional().about("Needed with another `email`."),
            ])
            .gives::<ProfileBody>(200, "The account as it is then.", profile())
            .refuses("a name that is taken", fault("username", USERNAME_TAKEN))
            .refuses("a wrong password", wrong("password"))
            .refuses("too many wrong passwords, or addresses", Problem::throttled(Some(60))),
        Operation::new((TAG, &ME), "DELETE", "deleteAccount", "Delete one's own account")
            .describe("Deletes the account with its tasks and sessions, at once and for good.")
            .takes([text("password", PASSWORD)])
            .gives_nothing(204, "It is gone.")
            .refuses("a wrong password", wrong("password"))
            .refuses("too many wrong passwords", Problem::throttled(Some(60))),
    ]
}

fn profile() -> Value {
    json!({
        "id": 7,
        "username": "ada",
        "email": "ada@example.com",
        "email_verified": true,
        "pending_email": null,
        "first_name": "Ada",
        "last_name": "Lovelace",
        "is_staff": false,
        "date_joined": "2026-11-21T20:15:30.123456Z",
        "last_login": null,
    })
}

fn username() -> Field {
    name_of_user("username", "ada", CHARACTERS_MAX)
        .about("Letters and digits of any script, and `@.+-_`; outer white space does not count.")
}

fn email() -> Field {
    email_address("email", "ada@example.com")
}

fn new_password(name: &'static str) -> Field {
    exact_text(name, PASSWORD).about(PASSWORD_RULES)
}

/// A field that is ignored where it is no text.
fn any(name: &'static str, example: &str) -> Field {
    Field::ignored_unless_text(name, example)
}

fn fault(field: &str, text: &str) -> Problem {
    field_problem(field, &[text.to_owned()])
}
