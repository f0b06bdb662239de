//! What the document says of other people's accounts.

use serde_json::{Value, json};
use shared::ids::UserId;

use super::User;
use super::http::{DISABLE, ENABLE, LIMIT, LIMIT_MAX, OWN_ACCOUNT, UNLOCK, USER, USERS};
use crate::extract::PageAsked;
use crate::middleware::Endpoint;
use crate::openapi::Operation;
use crate::problem::Problem;

const TAG: &str = "Staff";

/// The operations of staff.
pub fn operations() -> Vec<Operation> {
    let page = json!({ "type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": LIMIT });
    let id = json!({ "type": "integer", "format": "int64" });
    let link =
        json!({ "type": "string", "pattern": "^</api/users/\\?limit=[0-9]+&cursor=[0-9]+>; rel=\"next\"$" });
    let next = "Where the next page is, if there is one.";
    vec![
        staff_only(Operation::new((TAG, &USERS), "GET", "listUsers", "All accounts"))
            .describe("All accounts, page by page, in the order of their ids.")
            .query("limit", &page, "How many.")
            .query("cursor", &id, "Behind which id to begin; `Link` has it.")
            .gives_list::<User>("A page of accounts.", LIMIT_MAX.into(), json!([user(true)]))
            .with_header(200, "Link", &link, next)
            .refuses("a limit out of bounds", wrong_page("limit=0"))
            .refuses("no cursor", wrong_page("cursor=x"))
            .leads_to(200, "getUser", &[("path.id", "$response.body#/0/id")]),
        one(&USER, "GET", "getUser", "An account"),
        one(&DISABLE, "POST", "disableUser", "Switch an account off")
            .refuses("one's own", Problem::conflict(OWN_ACCOUNT)),
        one(&ENABLE, "POST", "enableUser", "Switch an account on"),
        one(&UNLOCK, "POST", "unlockUser", "Forget an account's wrong passwords"),
    ]
}

fn one(
    endpoint: &'static Endpoint,
    method: &'static str,
    id: &'static str,
    summary: &'static str,
) -> Operation {
    let active = method == "GET" || id != "disableUser";
    staff_only(Operation::new((TAG, endpoint), method, id, summary))
        .path("id", &json!({ "type": "integer", "format": "int64" }), "The account's id.")
        .gives::<User>(200, "The account as it is then.", user(active))
        .refuses("no such account", Problem::not_found())
}

fn staff_only(operation: Operation) -> Operation {
    operation.refuses("not staff, or a superuser's account", Problem::permission_denied())
}

fn wrong_page(query: &str) -> Problem {
    PageAsked::<UserId>::of(Some(query), LIMIT, LIMIT_MAX).err().unwrap_or_else(Problem::internal)
}

fn user(is_active: bool) -> Value {
    json!({
        "id": 7,
        "username": "ada",
        "email": "ada@example.com",
        "first_name": "Ada",
        "last_name": "Lovelace",
        "is_active": is_active,
        "is_staff": false,
        "is_superuser": false,
        "email_verified": true,
        "date_joined": "2026-11-21T20:15:30.123456Z",
        "last_login": null,
    })
}
