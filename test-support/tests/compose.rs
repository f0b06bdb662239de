//! `compose.yaml`, `Dockerfile` and `.env.example` agree with each other and with the workspace, as far as that can be
//! judged without a container engine.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Map, Value};

/// The programs that are delivered, each also a folder of the workspace.
const PROGRAMS: [&str; 3] = ["audit-consumer", "producer-api", "scheduler"];

/// Settings that no service needs: other names of settings, and what commands are given by hand.
const NOT_OF_SERVICES: [&str; 16] = [
    "EMAIL_USER",
    "EMAIL_PASS",
    "JWT_SECRET_KEY",
    "SECRET_KEY",
    "PRODUCER_API_DB_PASSWORD",
    "AUDIT_CONSUMER_DB_PASSWORD",
    "SCHEDULER_DB_PASSWORD",
    "OPERATOR_PASSWORD",
    "MANAGEMENT_URL",
    "PRODUCER_API_AMQP_PASSWORD",
    "AUDIT_CONSUMER_AMQP_PASSWORD",
    "SCHEDULER_AMQP_PASSWORD",
    "OPERATOR_AMQP_PASSWORD",
    "SUPERUSER_PASSWORD",
    "NEW_PASSWORD",
    "DJANGO_DATABASE_URL",
];

/// Secrets that a service does without: the mail catcher wants no login.
const OPTIONAL_SECRETS: [&str; 2] = ["EMAIL_HOST_PASSWORD", "EMAIL_PASS"];

/// The servers they need, and the one-shot migration.
const OTHERS: [&str; 4] = ["mail", "migrate", "postgres", "rabbitmq"];

#[test]
fn the_services_are_the_programs_and_what_they_need() {
    let mut expected: Vec<&str> = PROGRAMS.into_iter().chain(OTHERS).collect();
    expected.sort_unstable();
    assert_eq!(services().keys().collect::<Vec<_>>(), expected);
    assert_eq!(programs_of_the_workspace(), PROGRAMS);
}

#[test]
fn whatever_stays_up_is_restarted_and_says_how_it_is() {
    for (name, service) in services() {
        if name == "migrate" {
            assert!(service["healthcheck"].is_null(), "a one-shot service is judged by its exit code");
            continue;
        }
        assert_eq!(service["restart"], "unless-stopped", "{name}");
        let check = words(&service["healthcheck"]["test"]);
        assert_eq!(
            check.first().map(String::as_str),
            Some("CMD"),
            "{name}: no shell is needed for a health check"
        );
        if PROGRAMS.contains(&name.as_str()) {
            assert_eq!(check[1..], [name.clone(), "healthcheck".to_owned()]);
            assert_eq!(words(&service["command"]), [name]);
        }
    }
}

#[test]
fn programs_start_when_servers_answer_and_the_database_is_migrated() {
    let services = services();
    assert_eq!(services["migrate"]["depends_on"]["postgres"]["condition"], "service_healthy");
    for program in PROGRAMS {
        let needs = &services[program]["depends_on"];
        assert_eq!(needs["postgres"]["condition"], "service_healthy", "{program}");
        assert_eq!(needs["rabbitmq"]["condition"], "service_healthy", "{program}");
        assert_eq!(needs["migrate"]["condition"], "service_completed_successfully", "{program}");
    }
    let migration = words(&services["migrate"]["command"]).join(" ");
    let roles = migration.find("producer-api database create-roles").expect("the roles are made");
    let tables = migration.find("producer-api database migrate").expect("the tables are made");
    assert!(roles < tables, "migrations grant to roles, so those come first");
    assert!(migration.contains("producer-api topology apply"), "programs expect the topology");
    assert_eq!(services["migrate"]["depends_on"]["rabbitmq"]["condition"], "service_healthy");
}

/// The owner of the database and the broker's administrator do what must be done once; the programs have their own logins.
#[test]
fn each_program_logs_in_as_itself_and_none_as_the_owner() {
    for (name, service) in services().into_iter().filter(|(name, _)| PROGRAMS.contains(&name.as_str())) {
        let role = format!("warren_{}", name.replace('-', "_"));
        let prefix = name.replace('-', "_").to_uppercase();
        let environment: std::collections::BTreeMap<_, _> = environment(&service).into_iter().collect();
        let value = |setting: &str| environment.get(setting).cloned().flatten().unwrap_or_default();
        let login = format!("postgres://{role}:${{{prefix}_DB_PASSWORD:?set it in .env}}@");
        assert!(value("DATABASE_URL").starts_with(&login), "{}", value("DATABASE_URL"));
        assert_eq!(value("RABBITMQ_USER"), role);
        assert_eq!(value("RABBITMQ_PASSWORD"), format!("${{{prefix}_AMQP_PASSWORD:?set it in .env}}"));
        assert_eq!(value("RABBITMQ_TOPOLOGY"), "expect");
    }
}

#[test]
fn nothing_runs_as_root_or_may_become_it() {
    for (name, service) in services() {
        let user = service["user"].as_str().unwrap_or("root");
        assert!(!user.starts_with("root") && !user.starts_with('0'), "{name} runs as {user}");
        assert_eq!(words(&service["cap_drop"]), ["ALL"], "{name}");
        assert_eq!(words(&service["security_opt"]), ["no-new-privileges:true"], "{name}");
        assert!(service["privileged"].is_null(), "{name}");
        if PROGRAMS.contains(&name.as_str()) || name == "migrate" {
            assert_eq!(service["read_only"], true, "{name}");
        }
    }
}

#[test]
fn ports_are_published_on_loopback_alone() {
    for (name, service) in services() {
        for port in words(&service["ports"]) {
            assert!(port.starts_with("127.0.0.1:"), "{name} publishes {port}");
        }
        if let Some(address) = service["environment"]["LISTEN_ADDRESS"].as_str() {
            let port = address.strip_prefix("0.0.0.0:").expect("a container listens on its own network");
            assert!(words(&service["ports"])[0].ends_with(&format!(":{port}")), "{name}");
        }
    }
}

#[test]
fn no_secret_is_written_down() {
    for (name, service) in services() {
        for (variable, value) in environment(&service) {
            let is_passed_on = value.is_none() && OPTIONAL_SECRETS.contains(&variable.as_str());
            if is_secret(&variable) && !is_passed_on {
                let value = value.unwrap_or_default();
                assert!(
                    value.contains(":?"),
                    "{name}: {variable} is {value}, and not asked for with ${{…:?…}}"
                );
            }
        }
    }
    for Setting { name, value, .. } in settings() {
        assert!(!is_secret(&name) || value.is_empty(), "{name} has a value in .env.example");
    }
}

#[test]
fn every_variable_is_in_the_example_and_explained_there() {
    let settings = settings();
    let known: BTreeSet<&str> = settings.iter().map(|setting| setting.name.as_str()).collect();
    assert_eq!(known.len(), settings.len(), "a setting is there twice");
    let silent: Vec<&String> =
        settings.iter().filter(|one| one.reason.len() < 5).map(|one| &one.name).collect();
    assert!(silent.is_empty(), "without an explanation: {silent:?}");

    let mut used = interpolated(&read("compose.yaml"));
    for (_, service) in services() {
        used.extend(
            environment(&service).into_iter().filter(|(_, value)| value.is_none()).map(|(name, _)| name),
        );
    }
    let unknown: Vec<&String> = used.iter().filter(|name| !known.contains(name.as_str())).collect();
    assert!(unknown.is_empty(), "not in .env.example: {unknown:?}");
}

#[test]
fn a_program_is_given_every_setting_of_its_own() {
    for (program, service) in services().into_iter().filter(|(name, _)| PROGRAMS.contains(&name.as_str())) {
        let output = Command::new(test_support::environment::programs_folder().join(&program))
            .args(["config", "--reference"])
            .output()
            .expect("the program runs");
        let reference = String::from_utf8(output.stdout).expect("text");
        let given: BTreeSet<String> = environment(&service).into_iter().map(|(name, _)| name).collect();
        let own = reference.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
        let needed = own.filter(|name| !NOT_OF_SERVICES.contains(name));
        let missing: Vec<&str> = needed.filter(|name| !given.contains(*name)).collect();
        assert!(missing.is_empty(), "compose.yaml does not give {program}: {missing:?}");
    }
}

#[test]
fn images_are_pinned_to_a_major_version() {
    let compose =
        services().into_iter().filter_map(|(_, service)| Some(service["image"].as_str()?.to_owned()));
    let bases = dockerfile().into_iter().filter(|step| step.verb == "FROM").map(|step| step.words[0].clone());
    let stages = stages();
    for image in compose.chain(bases).filter(|image| image != "warren:local" && !stages.contains(image)) {
        let (_, tag) = image.rsplit_once(':').unwrap_or((&image, "latest"));
        let is_pinned = tag.trim_start_matches('v').starts_with(|first: char| first.is_ascii_digit());
        // Debian's releases are called by name.
        assert!(is_pinned || tag.starts_with("bookworm"), "{image} is not pinned");
    }
}

#[test]
fn one_service_builds_the_image_that_all_share() {
    let ours = |service: &Value| service["image"] == "warren:local";
    for (name, service) in services().into_iter().filter(|(_, service)| ours(service)) {
        assert_eq!(service["pull_policy"], "never", "{name}");
        assert_eq!(service["build"].is_null(), name != "migrate", "{name}");
    }
}

#[test]
fn named_volumes_are_declared() {
    let declared = compose()["volumes"].as_object().cloned().unwrap_or_default();
    for (name, service) in services() {
        for volume in words(&service["volumes"]) {
            let source = volume.split(':').next().unwrap_or_default();
            assert!(declared.contains_key(source), "{name}: {source}");
        }
    }
}

#[test]
fn what_the_dockerfile_copies_is_there_and_not_ignored() {
    let allowed: Vec<String> =
        read(".dockerignore").lines().filter_map(|line| line.strip_prefix('!').map(str::to_owned)).collect();
    let stages = stages();
    for step in dockerfile().into_iter().filter(|step| step.verb == "COPY") {
        if let Some(stage) = step.words[0].strip_prefix("--from=") {
            assert!(stages.iter().any(|known| known == stage), "there is no stage {stage}");
            continue;
        }
        for source in &step.words[..step.words.len() - 1] {
            assert!(root().join(source).exists(), "{source} does not exist");
            assert!(allowed.iter().any(|path| Path::new(source).starts_with(path)), "{source} is ignored");
        }
    }
}

#[test]
fn the_image_caches_dependencies_by_every_manifest() {
    let first = stage("dependencies");
    let copied: Vec<String> =
        first.iter().filter(|step| step.verb == "COPY").flat_map(|step| step.words.clone()).collect();
    for member in members() {
        assert!(copied.contains(&format!("{member}/Cargo.toml")), "{member}'s manifest is missing");
    }
    assert!(copied.contains(&"Cargo.lock".to_owned()));
    assert!(!copied.iter().any(|source| members().contains(source)), "sources would spoil the cache");
}

#[test]
fn the_image_holds_the_programs_and_nothing_of_the_developers() {
    for step in ["dependencies", "build"].map(stage).into_iter().flatten().filter(|step| step.verb == "RUN") {
        let command = step.words.iter().skip_while(|word| *word != "build").cloned().collect::<Vec<_>>();
        let built: Vec<&str> = command
            .windows(2)
            .filter(|pair| pair[0] == "-p")
            .map(|pair| pair[1].trim_end_matches(';'))
            .collect();
        assert_eq!(built, ["producer-api", "audit-consumer", "scheduler"]);
        assert!(step.words.contains(&"--release".to_owned()) && step.words.contains(&"--locked".to_owned()));
    }
    let build = stage("build")
        .into_iter()
        .filter(|step| step.verb == "RUN")
        .flat_map(|step| step.words)
        .collect::<Vec<_>>();
    for name in PROGRAMS {
        assert!(build.contains(&format!("target/release/{name}")), "{name} is not taken along");
    }
    let last = dockerfile().into_iter().rfind(|step| step.verb == "USER").expect("a user is set");
    assert_eq!(last.words, ["10001:10001"]);
}

#[test]
fn the_image_is_built_with_the_pinned_toolchain() {
    let toolchain = read("rust-toolchain.toml");
    let channel =
        toolchain.lines().find_map(|line| line.strip_prefix("channel = ")).unwrap().trim_matches('"');
    let minor = channel.rsplit_once('.').unwrap().0;
    assert!(
        read("Dockerfile").contains(&format!("FROM rust:{minor}-")),
        "the Dockerfile's Rust is not {minor}"
    );
}

/// One setting of `.env.example`, set or commented out.
struct Setting {
    name: String,
    value: String,
    reason: String,
}

/// One instruction of the Dockerfile, its continued lines joined.
#[derive(Clone)]
struct Step {
    verb: String,
    words: Vec<String>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_default()
}

fn compose() -> Value {
    let parsed = serde_saphyr::from_str(&read("compose.yaml"));
    assert!(parsed.is_ok(), "compose.yaml: {:?}", parsed.err());
    parsed.unwrap_or_default()
}

fn services() -> Map<String, Value> {
    let services = compose()["services"].as_object().cloned().unwrap_or_default();
    assert!(!services.is_empty(), "compose.yaml has no services");
    services
}

/// A list of strings, or nothing.
fn words(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(|word| word.as_str().map(str::to_owned)).collect()
}

/// A service's variables; one without a value is passed on from `.env`.
fn environment(service: &Value) -> Vec<(String, Option<String>)> {
    let variables = service["environment"].as_object().cloned().unwrap_or_default();
    variables.into_iter().map(|(name, value)| (name, value.as_str().map(str::to_owned))).collect()
}

fn is_secret(variable: &str) -> bool {
    // A key that verifies is public.
    if variable == "VERIFYING_KEY" {
        return false;
    }
    ["PASSWORD", "PASS", "SECRET", "KEY"].iter().any(|word| variable.ends_with(word))
        || variable.contains("SECRET")
        || ["DATABASE_URL", "AMQP_URL", "MANAGEMENT_URL"].contains(&variable)
}

fn settings() -> Vec<Setting> {
    let mut settings = Vec::new();
    let mut reason = String::new();
    for line in read(".env.example").lines() {
        let text = line.strip_prefix("# ").unwrap_or(line);
        match text.split_once('=') {
            Some((name, value)) if name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_') => {
                let (name, value) = (name.to_owned(), value.to_owned());
                settings.push(Setting { name, value, reason: std::mem::take(&mut reason) });
            }
            _ => text.clone_into(&mut reason),
        }
    }
    settings
}

/// The names in every `${NAME}`, `${NAME:-…}` and `${NAME:?…}`.
fn interpolated(text: &str) -> Vec<String> {
    let is_name = |letter: &char| letter.is_ascii_uppercase() || *letter == '_';
    text.split("${").skip(1).map(|rest| rest.chars().take_while(is_name).collect()).collect()
}

fn dockerfile() -> Vec<Step> {
    let text = read("Dockerfile").replace("\\\n", " ");
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    let steps = lines.filter_map(|line| {
        let mut words = line.split_whitespace().map(str::to_owned);
        Some(Step { verb: words.next()?, words: words.collect() })
    });
    steps.collect()
}

fn stages() -> Vec<String> {
    let named = dockerfile().into_iter().filter(|step| step.verb == "FROM" && step.words.len() == 3);
    named.map(|step| step.words[2].clone()).collect()
}

/// The instructions of one stage.
fn stage(name: &str) -> Vec<Step> {
    let steps = dockerfile().into_iter();
    let from_here =
        steps.skip_while(|step| !(step.verb == "FROM" && step.words.last().is_some_and(|last| last == name)));
    from_here.skip(1).take_while(|step| step.verb != "FROM").collect()
}

fn members() -> Vec<String> {
    let manifest = read("Cargo.toml");
    let list = manifest.lines().find_map(|line| line.strip_prefix("members = [")).unwrap_or_default();
    list.split(',').map(|name| name.trim_matches([' ', '"', ']']).to_owned()).collect()
}

/// The workspace's programs; xtask is a tool for developers.
fn programs_of_the_workspace() -> Vec<String> {
    let has_program = |member: &String| root().join(member).join("src/main.rs").exists();
    let mut programs: Vec<String> =
        members().into_iter().filter(|member| member != "xtask").filter(has_program).collect();
    programs.sort();
    programs
}
