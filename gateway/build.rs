//! Notes which commit is built, for `flashlane --version`.

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // Git writes here at each commit and each checkout.
    println!("cargo::rerun-if-changed=../.git/logs/HEAD");
    let commit = Command::new("git").args(["rev-parse", "--short=10", "HEAD"]).output().ok();
    let commit = commit.filter(|output| output.status.success());
    let commit = commit.and_then(|output| String::from_utf8(output.stdout).ok());
    let commit = commit.map_or_else(|| "commit unknown".to_owned(), |text| text.trim().to_owned());
    println!("cargo::rustc-env=FLASHLANE_COMMIT={commit}");
}
