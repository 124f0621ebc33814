//! Scripts of `js/`, run with node.

use std::fs::File;
use std::io::{self, Read, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Whether the scripts can run; says why not. Installs their packages the first time.
pub(crate) fn is_there() -> bool {
    for tool in ["node", "npm"] {
        let version = Command::new(tool).arg("--version").output();
        if !version.is_ok_and(|output| output.status.success()) {
            println!("skipped: {tool} is not installed");
            return false;
        }
    }
    // Tests are processes of their own; the first one installs, the others wait.
    let lock = File::create(here().join("package.lock")).unwrap();
    lock.lock().unwrap();
    let stamp = here().join("node_modules/.installed");
    let wanted = std::fs::read(here().join("package-lock.json")).unwrap();
    if std::fs::read(&stamp).is_ok_and(|installed| installed == wanted) {
        return true;
    }
    let mut npm = Command::new("npm");
    npm.args(["ci", "--no-audit", "--no-fund"])
        .current_dir(here());
    let output = npm.output().unwrap();
    if !output.status.success() {
        let reason = String::from_utf8_lossy(&output.stderr);
        println!("skipped: npm ci failed: {reason}");
        return false;
    }
    std::fs::write(stamp, wanted).unwrap();
    true
}

/// Where a script is.
pub(crate) fn script(name: &str) -> std::path::PathBuf {
    here().join("js").join(name)
}

/// Runs a script to its end; what it printed.
pub(crate) fn run(script: &str, args: &[&str], input: &str) -> String {
    let mut command = Command::new("node");
    command.arg(self::script(script)).args(args);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{script} failed");
    String::from_utf8(output.stdout).unwrap()
}

/// The content that both sides make: see `js/xorshift.mjs`.
pub(crate) struct Content {
    state: u64,
    left: usize,
    piece: Vec<u8>,
    at: usize,
}

const PIECE: usize = 65_536;

impl Content {
    pub(crate) fn new(seed: u64, size: usize) -> Self {
        Self {
            state: seed,
            left: size,
            piece: Vec::new(),
            at: 0,
        }
    }

    fn fill(&mut self) {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        let mut word = (self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) as u32) | 1;
        self.piece.clear();
        for _ in 0..PIECE / 4 {
            word ^= word << 13;
            word ^= word >> 17;
            word ^= word << 5;
            self.piece.extend_from_slice(&word.to_le_bytes());
        }
        self.piece.truncate(self.left);
        self.left -= self.piece.len();
        self.at = 0;
    }
}

impl Read for Content {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.piece.len() {
            self.fill();
        }
        let taken = (self.piece.len() - self.at).min(buffer.len());
        buffer[..taken].copy_from_slice(&self.piece[self.at..self.at + taken]);
        self.at += taken;
        Ok(taken)
    }
}
