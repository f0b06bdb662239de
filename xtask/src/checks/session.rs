//! What the lanes of one command share: the console, the workspace, the private servers, the tools.

use std::path::Path;

use anyhow::Result;

use super::TestArguments;
use super::deny::DenyTool;
use super::lane::Lane;
use super::python::PythonEnvironment;
use super::test_stack::TestStack;
use super::workspace::Workspace;
use crate::console::Console;
use crate::servers::ensure_installed;
use crate::servers::install::Package;

/// One `cargo xtask test`, `check` or `prepare`. Dropping it ends whatever was started.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) console: Console,
    pub(super) workspace: Workspace,
    pub(super) stack: TestStack,
    pub(super) python: PythonEnvironment,
    pub(super) deny: DenyTool,
    pub(super) arguments: TestArguments,
}

impl Session {
    /// Starts in the background whatever these lanes will need.
    pub(super) fn open(console: &Console, lanes: &[Lane], arguments: TestArguments) -> Result<Self> {
        let workspace = Workspace::find()?;
        let needs_python = lanes.iter().any(|lane| lane.needs_python());
        if needs_python {
            // With the servers' packages, which the same lane needs, in one go.
            let tests_alone = [Package::Python3Venv, Package::Chromium];
            let packages = [Package::Postgresql, Package::RabbitmqServer].into_iter().chain(tests_alone);
            ensure_installed(console, &packages.collect::<Vec<_>>())?;
        }
        let stack = TestStack::begin(
            console,
            &workspace.target.join("test-stack"),
            lanes.iter().any(|lane| lane.needs_postgres()),
            lanes.iter().any(|lane| lane.needs_rabbitmq()),
        )?;
        let python = if needs_python {
            PythonEnvironment::begin(console, &workspace)?
        } else {
            PythonEnvironment::not_needed()
        };
        let deny = if lanes.contains(&Lane::Deny) {
            DenyTool::look_up(console, &workspace)?
        } else {
            DenyTool::not_needed()
        };
        Ok(Self { console: console.clone(), workspace, stack, python, deny, arguments })
    }

    /// The root of the repository.
    pub(super) fn root(&self) -> &Path {
        &self.workspace.root
    }
}
