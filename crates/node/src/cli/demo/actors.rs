//! The nodes of the demo: each a home, and a process while it is up.

use std::io::{BufRead as _, BufReader};
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

/// How long a node may take to stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// One of the three nodes.
pub(crate) struct Actor {
    name: &'static str,
    dir: PathBuf,
    port: u16,
    /// Whether somebody watches, so that long commands show their progress.
    live: bool,
    process: Option<Child>,
}

impl Drop for Actor {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            // The demo failed; what is left of it must not outlive it.
            process.kill().ok();
            process.wait().ok();
        }
    }
}

impl Actor {
    /// A node with a free port, whose home is below `dir`.
    pub(crate) fn new(name: &'static str, dir: &Path, live: bool) -> Result<Self> {
        // Free now; the node binds it again each time it comes back.
        let port = UdpSocket::bind("127.0.0.1:0")?.local_addr()?.port();
        Ok(Self {
            name,
            dir: dir.to_owned(),
            port,
            live,
            process: None,
        })
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.dir.join(self.name)
    }

    fn command(&self, args: &[&str]) -> Result<Command> {
        let mut command = Command::new(std::env::current_exe()?);
        command
            .arg("--home")
            .arg(self.home())
            .args(args)
            .current_dir(&self.dir);
        command
            .env_remove("ALLOD_HOME")
            .env_remove("ALLOD_PASSPHRASE")
            .stdin(Stdio::null());
        Ok(command)
    }

    /// Runs a command on the home; its words count only if it fails.
    pub(crate) fn run(&self, args: &[&str]) -> Result<String> {
        self.output(args, false)
    }

    fn output(&self, args: &[&str], live: bool) -> Result<String> {
        let mut command = self.command(args)?;
        if live {
            command.stderr(Stdio::inherit());
        }
        let output = command.output()?;
        if !output.status.success() {
            let words = String::from_utf8_lossy(&output.stderr);
            bail!(
                "on the {}: allod {}: {}",
                self.name,
                args.join(" "),
                words.trim()
            );
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    /// The JSON answer of a command.
    pub(crate) fn json(&self, args: &[&str]) -> Result<Value> {
        let args = [&["--json"], args].concat();
        Ok(serde_json::from_str(&self.output(&args, false)?)?)
    }

    /// The same for a long command, whose progress is shown if somebody watches.
    pub(crate) fn json_live(&self, args: &[&str]) -> Result<Value> {
        let args = [&["--json"], args].concat();
        Ok(serde_json::from_str(&self.output(&args, self.live)?)?)
    }

    /// The JSON lines of a command.
    pub(crate) fn rows(&self, args: &[&str]) -> Result<Vec<Value>> {
        let args = [&["--json"], args].concat();
        let output = self.output(&args, false)?;
        output
            .lines()
            .map(|line| Ok(serde_json::from_str(line)?))
            .collect()
    }

    /// The heads of the current branch.
    pub(crate) fn heads(&self) -> Result<Vec<String>> {
        let status = self.json(&["status"])?;
        let heads = status["heads"].as_array().context("no heads")?;
        Ok(heads
            .iter()
            .filter_map(|head| head.as_str().map(str::to_owned))
            .collect())
    }

    /// Starts the node and waits until it listens.
    pub(crate) fn up(&mut self) -> Result<()> {
        let listen = format!("127.0.0.1:{}", self.port);
        let mut command = self.command(&["up", "--listen", &listen])?;
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let out = child.stdout.take().context("no output")?;
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line)?;
        if !line.starts_with("listening") {
            let output = child.wait_with_output()?;
            bail!(
                "the {} did not start: {}",
                self.name,
                String::from_utf8_lossy(&output.stderr)
            );
        }
        self.process = Some(child);
        Ok(())
    }

    /// Stops the node as an operator would.
    pub(crate) fn stop(&mut self) -> Result<()> {
        let Some(mut child) = self.process.take() else {
            return Ok(());
        };
        let killed = Command::new("kill")
            .arg("-TERM")
            .arg(child.id().to_string())
            .status()?;
        ensure!(
            killed.success(),
            "the {} could not be told to stop",
            self.name
        );
        let started = Instant::now();
        loop {
            if let Some(status) = child.try_wait()? {
                ensure!(status.success(), "the {} stopped with {status}", self.name);
                return Ok(());
            }
            if started.elapsed() > STOP_TIMEOUT {
                child.kill()?;
                child.wait()?;
                bail!(
                    "the {} did not stop in {} s",
                    self.name,
                    STOP_TIMEOUT.as_secs()
                );
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
