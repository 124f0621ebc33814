//! Homes in directories of their own, and the processes that use them.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// What a command did.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) bytes: Vec<u8>,
    pub(crate) err: String,
}

impl Done {
    /// The output of a command that must have worked.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{} {}", self.out, self.err);
        self.out
    }

    /// The single JSON value that was printed.
    #[track_caller]
    pub(crate) fn json(self) -> Value {
        serde_json::from_str(&self.ok()).unwrap()
    }

    /// The JSON values that were printed, one a line.
    #[track_caller]
    pub(crate) fn rows(self) -> Vec<Value> {
        let text = self.ok();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// The command failed with this exit code, in one message that has all of `words`.
    #[track_caller]
    pub(crate) fn fails(self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{} {}", self.out, self.err);
        assert!(self.err.contains("error: "), "{}", self.err);
        assert!(!self.err.contains("panicked"), "{}", self.err);
        assert!(!self.err.contains("Backtrace"), "{}", self.err);
        for word in words {
            assert!(self.err.contains(word), "{word:?} in: {}", self.err);
        }
    }
}

/// By how much tests that do things by chance are multiplied.
pub(crate) fn scale() -> u32 {
    let scale = std::env::var("ALLOD_TEST_SCALE").ok();
    scale.and_then(|scale| scale.parse().ok()).unwrap_or(1)
}

/// A home, or the place of one.
pub(crate) struct Home {
    pub(crate) dir: TempDir,
}

impl Home {
    /// A home that was made with a key file.
    pub(crate) fn new() -> Self {
        let home = Self::empty();
        let key = home.file("key");
        home.run(&["init", "--key-file", key.to_str().unwrap()])
            .ok();
        home
    }

    /// A home with a space called `notes`.
    pub(crate) fn with_space() -> Self {
        let home = Self::new();
        home.run(&["space", "new", "notes"]).ok();
        home
    }

    /// No home yet.
    pub(crate) fn empty() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    /// A path next to the home.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file next to the home.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.file(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_allod"));
        command.args(args).current_dir(self.dir.path());
        command.env_clear().env("ALLOD_HOME", self.path());
        command.stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Done {
        done(self.command(args).output().unwrap())
    }

    /// Runs a command with bytes on its standard input.
    pub(crate) fn feed(&self, args: &[&str], input: &[u8]) -> Done {
        let mut command = self.command(args);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        let feeding = std::thread::spawn(move || stdin.write_all(&input));
        let output = child.wait_with_output().unwrap();
        // A command that fails early does not read on.
        drop(feeding.join().unwrap());
        done(output)
    }

    /// Runs a command that prints JSON.
    #[track_caller]
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        self.run(&[args, &["--json"]].concat()).json()
    }

    /// Commits `key=value` and returns the commit.
    #[track_caller]
    pub(crate) fn commit(&self, key: &str, value: &str) -> String {
        self.run(&["put", key, value]).ok();
        let done = self.json(&["commit", "-m", "a change"]);
        done["commit"].as_str().unwrap().to_owned()
    }

    /// How many keys are staged.
    #[track_caller]
    pub(crate) fn staged(&self) -> u64 {
        self.json(&["status"])["staged"].as_u64().unwrap()
    }

    /// Starts a node on the home.
    pub(crate) fn up(&self) -> Up {
        self.up_at("127.0.0.1:0")
    }

    /// Starts a node that is served over HTTP.
    pub(crate) fn up_http(&self, args: &[&str]) -> Up {
        let http = ["--http", "127.0.0.1:0"];
        let asked = args.first().is_some_and(|first| *first == "--http");
        let http = if asked { &[][..] } else { &http[..] };
        self.up_with("127.0.0.1:0", &[http, args].concat())
    }

    /// Runs the node at an address.
    pub(crate) fn up_at(&self, listen: &str) -> Up {
        self.up_with(listen, &[])
    }

    /// Starts a node that is served over HTTP, with all that it says beside its data in a file next to the home.
    pub(crate) fn up_http_into(&self, told: &str) -> Up {
        let told = std::fs::File::create(self.file(told)).unwrap();
        let args = ["--http", "127.0.0.1:0", "-vv"];
        self.up_saying("127.0.0.1:0", &args, told.into())
    }

    fn up_with(&self, listen: &str, args: &[&str]) -> Up {
        self.up_saying(listen, args, Stdio::inherit())
    }

    fn up_saying(&self, listen: &str, args: &[&str], told: Stdio) -> Up {
        let mut command = self.command(&[&["up", "--listen", listen, "--json"], args].concat());
        command.stdout(Stdio::piped()).stderr(told);
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        let value: Value = serde_json::from_str(&line).unwrap();
        let text = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
        Up {
            addr: text("listen"),
            device: text("device"),
            http: text("http"),
            fingerprint: text("http_fingerprint"),
            child,
            _lines: lines,
        }
    }
}

fn done(output: std::process::Output) -> Done {
    Done {
        code: output.status.code(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        bytes: output.stdout,
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// A running node; killed when dropped.
pub(crate) struct Up {
    pub(crate) addr: String,
    pub(crate) device: String,
    /// How it is asked over HTTP, if it is.
    pub(crate) http: String,
    pub(crate) fingerprint: String,
    child: Child,
    /// Kept open, so that the node may write.
    _lines: BufReader<ChildStdout>,
}

impl Up {
    /// The most memory that the process has had, in KiB.
    pub(crate) fn memory_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmHWM:"))
            .unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// Asks the node to stop, and does not wait.
    pub(crate) fn terminate(&self) {
        let pid = self.child.id().to_string();
        let killed = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(killed.unwrap().success());
    }

    /// Waits until the node has ended; its exit code.
    pub(crate) fn wait(mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }

    /// Asks the node to stop; its exit code.
    pub(crate) fn stop(self) -> Option<i32> {
        self.terminate();
        self.wait()
    }

    /// Ends the node without a chance to say anything.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        // It has ended already, or ends now.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// All files below a directory.
pub(crate) fn files(dir: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(files(&path));
        } else {
            all.push(path);
        }
    }
    all.sort();
    all
}

/// Copies a directory and all files below it.
pub(crate) fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&from, &to);
        } else if entry.file_type().unwrap().is_file() {
            std::fs::copy(&from, &to).unwrap();
        }
    }
}
