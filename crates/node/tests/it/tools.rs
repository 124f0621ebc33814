//! What others wrote: Python with some packages, and a broker.

use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The folder that says which packages, and has what is run with them.
pub(crate) fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../interop-tests/python")
}

/// Python with the packages of `brokers.txt`, in an environment that is made once. `None`, and why in words, if it
/// cannot be made here.
pub(crate) fn python() -> Option<PathBuf> {
    let wanted = std::fs::read(scripts().join("brokers.txt")).unwrap();
    let sum = wanted.iter().fold(0_u64, |sum, byte| {
        sum.wrapping_mul(31).wrapping_add(u64::from(*byte))
    });
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("python-{sum:016x}"));
    let python = |dir: &Path| dir.join("bin/python");
    if place.exists() {
        return Some(python(&place));
    }
    let made = place.with_extension(std::process::id().to_string());
    let run = |program: &Path, args: &[&str]| {
        let output = Command::new(program).args(args).output();
        let is_done = output.as_ref().is_ok_and(|output| output.status.success());
        if !is_done {
            println!("skipped: {} {args:?}: {output:?}", program.display());
        }
        is_done
    };
    let requirements = scripts().join("brokers.txt");
    let is_made = run(
        Path::new("python3"),
        &["-m", "venv", made.to_str().unwrap()],
    ) && run(
        &python(&made),
        &[
            "-m",
            "pip",
            "install",
            "-q",
            "-r",
            requirements.to_str().unwrap(),
        ],
    );
    if !is_made {
        return None;
    }
    // Another process may have been faster; its environment is as good.
    if std::fs::rename(&made, &place).is_err() {
        std::fs::remove_dir_all(&made).ok();
    }
    Some(python(&place))
}

/// The lines that a script prints.
pub(crate) fn lines_of(python: &Path, script: &str, args: &[&str]) -> Vec<serde_json::Value> {
    let mut command = Command::new(python);
    let output = command
        .arg(scripts().join(script))
        .args(args)
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// A port that nobody uses now.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// A server of NATS with JetStream, in files.
pub(crate) struct Nats {
    program: PathBuf,
    dir: PathBuf,
    config: PathBuf,
    port: u16,
    child: Option<Child>,
}

impl Nats {
    pub(crate) fn new(python: &Path, dir: &Path) -> Self {
        Self::with(python, dir, "")
    }

    /// One that is set up so.
    pub(crate) fn with(python: &Path, dir: &Path, config: &str) -> Self {
        let file = dir.with_extension("conf");
        std::fs::write(&file, config).unwrap();
        let mut nats = Self {
            config: file,
            program: python.with_file_name("nats-server"),
            dir: dir.to_owned(),
            port: free_port(),
            child: None,
        };
        nats.start();
        nats
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Starts it, if it does not run, and waits until it answers.
    pub(crate) fn start(&mut self) {
        if self.child.is_some() {
            return;
        }
        let mut command = Command::new(&self.program);
        command.args([
            "-js",
            "-a",
            "127.0.0.1",
            "-p",
            &self.port.to_string(),
            "-sd",
        ]);
        command
            .arg(&self.dir)
            .arg("-c")
            .arg(&self.config)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        self.child = Some(command.spawn().unwrap());
        let began = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(
                began.elapsed() < Duration::from_secs(30),
                "the broker starts"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Kills it, as a crash would.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Says why a test does nothing.
pub(crate) fn skipped(why: &str) {
    let mut out = std::io::stdout();
    writeln!(out, "skipped: {why}").unwrap();
}
