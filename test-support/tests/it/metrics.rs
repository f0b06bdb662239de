//! What all three programs tell Prometheus is what the documents, the dashboard and the alerts say, and Prometheus' own
//! tool has nothing against it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use test_support::metrics::Scrape;
use test_support::world::World;
use test_support::{environment, eventually};

const DEADLINE: Duration = Duration::from_mins(2);

const HEAD: &str = "# Metrics\n\n\
    What `/metrics` of each program tells. Every series is there from the start, at zero; what is read from the database is \
    absent\nwhile it can't be read. [OPERATIONS.md](OPERATIONS.md#metrics) says how to use them. This page is generated:\n\
    `UPDATE_DOCS=1 cargo xtask test -p test-support --test it -- metrics` writes it anew.\n\n\
    | metric | kind | labels | told by | meaning |\n|---|---|---|---|---|\n";

fn document(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name)
}

fn read(name: &str) -> String {
    std::fs::read_to_string(document(name)).unwrap()
}

/// A metric as `/metrics` tells of it.
#[derive(Debug, Default)]
struct Told {
    kind: String,
    meaning: String,
    labels: BTreeSet<String>,
    programs: Vec<&'static str>,
}

/// Goes red for a metric without a word, for a word without a metric, and for whatever promtool complains of.
#[tokio::test]
async fn what_programs_tell_is_documented_and_all_that_is_asked_for_is_told() {
    let world = World::start().await;
    let scrapes = eventually(DEADLINE, "everything that is read to be read", async || {
        let api = Scrape::of(&world.client).await;
        api.figure("revocation_read_age_seconds")?;
        let consumer = Scrape::of(&world.audit_consumer.client()).await;
        consumer.figure("dead_letters_messages")?;
        let scheduler = Scrape::of(&world.scheduler.client()).await;
        // A busy machine misses the second that reading may take, and then figures are absent; and those of the schedules
        // were read before the schedules were written, perhaps.
        let all_read =
            [&api, &consumer, &scheduler].iter().all(|told| told.count("database_figures_up") == 1);
        let is_complete = !scheduler.series_of("scheduler_next_due_timestamp_seconds").is_empty();
        (all_read && is_complete).then_some([
            ("producer-api", api),
            ("audit-consumer", consumer),
            ("scheduler", scheduler),
        ])
    })
    .await;
    let mut told: BTreeMap<String, Told> = BTreeMap::new();
    for (program, scrape) in &scrapes {
        let (output, is_fine) = promtool(&["check", "metrics"], scrape.text());
        assert!(is_fine && output.is_empty(), "{program}: {output}");
        collect(program, scrape.text(), &mut told);
    }
    let page = told.iter().fold(HEAD.to_owned(), |page, (name, metric)| page + &row(name, metric));
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(document("METRICS.md"), &page).unwrap();
    }
    assert!(page == read("METRICS.md"), "docs/METRICS.md is stale; its first lines say how to write it anew");

    let asked_by = |expressions: Vec<String>| -> BTreeSet<String> {
        expressions.iter().flat_map(|asked| metrics_in(asked)).map(|name| base(&name, &told)).collect()
    };
    let (shown, watched) = (asked_by(panels()), asked_by(rules().iter().map(expression).collect()));
    let asked = shown.union(&watched).filter(|name| *name != "up");
    let unknown: Vec<_> = asked.filter(|name| !told.contains_key(*name)).collect();
    assert!(unknown.is_empty(), "nobody tells {unknown:?}");
    let unseen: Vec<_> = told.keys().filter(|name| !shown.contains(*name)).collect();
    assert!(unseen.is_empty(), "the dashboard does not show {unseen:?}");
}

#[test]
fn every_alert_fires_as_its_test_says_and_leads_to_a_section_that_exists() {
    for arguments in [["check", "rules", "alerts.yml"], ["test", "rules", "alerts_test.yml"]] {
        let (output, is_fine) = promtool(&arguments, "");
        assert!(is_fine, "{arguments:?}: {output}");
    }
    let (output, is_fine) = promtool(&["check", "config", "prometheus.yml"], "");
    assert!(is_fine, "{output}");
    let tests = read("observability/alerts_test.yml");
    let headings: BTreeSet<String> = read("OPERATIONS.md").lines().filter_map(anchor).collect();
    for rule in rules() {
        let name = rule["alert"].as_str().unwrap();
        assert!(tests.contains(&format!("alertname: {name}\n")), "{name} has no test");
        for annotation in ["summary", "description", "action"] {
            assert!(rule["annotations"][annotation].is_string(), "{name} has no {annotation}");
        }
        let runbook = rule["annotations"]["runbook"].as_str().unwrap();
        let section = runbook.strip_prefix("docs/OPERATIONS.md#").unwrap();
        assert!(headings.contains(section), "{name}: docs/OPERATIONS.md has no section {section}");
    }
}

/// Runs promtool among the files of `docs/observability`; what it says of faults, and whether it found none.
fn promtool(arguments: &[&str], input: &str) -> (String, bool) {
    let mut command = Command::new(environment::promtool());
    command.args(arguments).current_dir(document("observability"));
    let mut running =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    running.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let ended = running.wait_with_output().unwrap();
    let output = [ended.stdout, ended.stderr].concat();
    (String::from_utf8(output).unwrap(), ended.status.success())
}

fn collect(program: &'static str, text: &str, told: &mut BTreeMap<String, Told>) {
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, meaning) = help.split_once(' ').unwrap();
            let metric = told.entry(name.to_owned()).or_default();
            meaning.clone_into(&mut metric.meaning);
            metric.programs.push(program);
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            kind.clone_into(&mut told.get_mut(name).unwrap().kind);
        } else if let Some((series, _)) = line.rsplit_once(' ') {
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            let name = base(name, told);
            let labels =
                labels.split("\",").filter_map(|label| label.split_once('=')).map(|(label, _)| label);
            let labels = labels.filter(|label| *label != "le").map(str::to_owned);
            told.get_mut(&name).unwrap().labels.extend(labels);
        }
    }
}

/// A histogram's own name, whichever of its three series is meant.
fn base(name: &str, told: &BTreeMap<String, Told>) -> String {
    let mut parts = ["_bucket", "_sum", "_count"].iter().filter_map(|part| name.strip_suffix(part));
    parts.find(|base| told.contains_key(*base)).unwrap_or(name).to_owned()
}

fn row(name: &str, metric: &Told) -> String {
    let labels: Vec<_> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
    let programs = if metric.programs.len() == 3 { "all".to_owned() } else { metric.programs.join(", ") };
    let mut row = String::new();
    let (kind, meaning) = (&metric.kind, metric.meaning.trim_end_matches('.'));
    writeln!(row, "| `{name}` | {kind} | {} | {programs} | {meaning} |", labels.join(", ")).unwrap();
    row
}

fn rules() -> Vec<Value> {
    let rules: Value = serde_saphyr::from_str(&read("observability/alerts.yml")).unwrap();
    rules["groups"][0]["rules"].as_array().unwrap().clone()
}

/// All that the dashboard asks.
fn panels() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(&read("observability/dashboard.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    panels.filter_map(|panel| panel["targets"].as_array()).flatten().map(expression).collect()
}

/// What a panel or an alert asks.
fn expression(of: &Value) -> String {
    of["expr"].as_str().unwrap().to_owned()
}

/// The metrics that an expression names: its words, but for functions, keywords, labels and texts.
fn metrics_in(expression: &str) -> BTreeSet<String> {
    let mut bare = expression.to_owned();
    for (open, close) in [('{', '}'), ('[', ']')] {
        while let (Some(begin), Some(end)) = (bare.find(open), bare.find(close)) {
            bare.replace_range(begin..=end, " ");
        }
    }
    for clause in ["by (", "on (", "ignoring ("] {
        while let Some(begin) = bare.find(clause) {
            let end = begin + bare[begin..].find(')').unwrap();
            bare.replace_range(begin..=end, " ");
        }
    }
    let is_part = |character: char| character.is_ascii_alphanumeric() || character == '_';
    let mut names = BTreeSet::new();
    let mut rest = bare.as_str();
    while let Some(begin) = rest.find(|character: char| character.is_ascii_alphabetic()) {
        rest = &rest[begin..];
        let end = rest.find(|character| !is_part(character)).unwrap_or(rest.len());
        let (word, behind) = rest.split_at(end);
        let is_function = behind.trim_start().starts_with('(');
        if !is_function && !["and", "or", "sum", "max", "min"].contains(&word) {
            names.insert(word.to_owned());
        }
        rest = behind;
    }
    names
}

/// The anchor of a heading, as GitHub makes it.
fn anchor(line: &str) -> Option<String> {
    let heading = line.strip_prefix('#')?.trim_start_matches('#').trim();
    let kept = heading.chars().filter(|character| character.is_alphanumeric() || " -_".contains(*character));
    Some(kept.collect::<String>().to_lowercase().replace(' ', "-"))
}
