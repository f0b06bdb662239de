//! What `up` prints when everything runs: every URL and login on one page.

use std::fmt::Write as _;

use super::{
    database::OPERATOR,
    demo,
    layout::Layout,
    programs::Program,
    state::{Session, State},
};

/// The page, with headings through `heading`; `stop` says how to end the stack.
pub(super) fn panel(
    layout: &Layout,
    state: &State,
    session: &Session,
    heading: impl Fn(&str) -> String,
    stop: &str,
) -> String {
    let mut rows = Vec::new();
    let urls = |program| session.instances.iter().filter(move |instance| instance.program == program);
    rows.extend(urls(Program::ProducerApi).map(|instance| ("API", instance.url())));
    rows.extend(urls(Program::ProducerApi).take(1).map(|instance| {
        let logins =
            if state.has_demo_accounts(session) { "  (two windows, one of the logins below)" } else { "" };
        ("Page", format!("{}/real_data{logins}", instance.url()))
    }));
    rows.extend(
        session
            .instances
            .iter()
            .map(|instance| ("Health", format!("{}  {}", instance.readiness_url(), instance.name))),
    );
    if let Some(management) = &session.management {
        rows.push(("RabbitMQ", management.url.clone()));
        rows.extend(
            management.login.iter().map(|(user, password)| ("", format!("log in as {user} with {password}"))),
        );
        let looks = || format!("or, just to look: {OPERATOR} with {}", state.operator_password);
        rows.extend(management.login.iter().map(|_| ("", looks())));
    }
    rows.extend(session.database_url.iter().map(|url| ("Database", format!("DATABASE_URL={url}"))));
    rows.extend(session.operator_database_url.iter().map(|url| ("Audit", format!("psql '{url}'"))));
    if state.has_demo_accounts(session) {
        rows.push((
            "Logins",
            format!("{} / {}  (superuser, user 1)", demo::ADMIN.name, demo::ADMIN.password),
        ));
        rows.push(("", format!("{} / {}", demo::BIANCA.name, demo::BIANCA.password)));
    }
    if session.keeps_mail() {
        rows.push(("Mail", format!("{}/", layout.shown(&layout.mail()))));
    }
    rows.push(("Logs", format!("{}/, or: cargo xtask logs --follow", layout.shown(&layout.logs()))));
    rows.push(("Stop", stop.to_owned()));

    let mut page = format!("\n{}\n\n", heading("Warren is up."));
    let mut before = "";
    for (name, text) in rows {
        let shown = if name == before { "" } else { name };
        // Writing to a string can't fail.
        let _ = writeln!(page, "  {}  {text}", heading(&format!("{shown:<8}")));
        before = if name.is_empty() { before } else { name };
    }
    page
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{
        super::{
            settings::Settings,
            state::{Instance, Management},
        },
        *,
    };

    #[test]
    fn every_url_and_login_has_its_line() {
        let mut state = State::new(Path::new("/nowhere")).unwrap();
        state.operator_password = "b".to_owned();
        let mut session = Session::new(Settings::default()).unwrap();
        state.note_demo_accounts(&session);
        session.database_url = Some("postgres://warren:a@127.0.0.1:20000/warren".to_owned());
        session.operator_database_url =
            Some("postgres://warren_operator:b@127.0.0.1:20000/warren".to_owned());
        let login = Some(("warren".to_owned(), "c".to_owned()));
        session.management = Some(Management { url: "http://127.0.0.1:15672".to_owned(), login });
        let replica = |program: Program, number: u16| Instance {
            program,
            name: format!("{}-{number}", program.name()),
            port: program.preferred_port() + 10 * (number - 1),
            process: None,
        };
        session.instances = vec![
            replica(Program::ProducerApi, 1),
            replica(Program::ProducerApi, 2),
            replica(Program::Scheduler, 1),
        ];
        let page = panel(&Layout::find().unwrap(), &state, &session, str::to_owned, "Ctrl-C");
        let expected = "
Warren is up.

  API       http://127.0.0.1:8000
            http://127.0.0.1:8010
  Page      http://127.0.0.1:8000/real_data  (two windows, one of the logins below)
  Health    http://127.0.0.1:8000/readyz  producer-api-1
            http://127.0.0.1:8010/readyz  producer-api-2
            http://127.0.0.1:8002/readyz  scheduler-1
  RabbitMQ  http://127.0.0.1:15672
            log in as warren with c
            or, just to look: warren_operator with b
  Database  DATABASE_URL=postgres://warren:a@127.0.0.1:20000/warren
  Audit     psql 'postgres://warren_operator:b@127.0.0.1:20000/warren'
  Logins    admin / warren-admin-demo  (superuser, user 1)
            bianca / warren-bianca-demo
  Mail      target/stack/mail/
  Logs      target/stack/logs/, or: cargo xtask logs --follow
  Stop      Ctrl-C
";
        assert_eq!(page, expected);
    }
}
