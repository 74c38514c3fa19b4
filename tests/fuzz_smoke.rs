//! Every fuzz target, on a stable toolchain: its seeds, and for some seconds seeded mutations of them. A real run needs a
//! nightly one: `fuzz/README.md`.

#[expect(unreachable_pub, reason = "for the targets it is a library")]
#[path = "../fuzz/bodies/mod.rs"]
mod bodies;
#[path = "common/mutate.rs"]
mod mutate;

use mutate::{INPUTS, each};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// For each target; a slow machine tries fewer inputs and takes no longer.
const LONG: Duration = Duration::from_secs(4);
/// Inputs between two looks at the clock.
const ROUND: u32 = 16;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(name)
}

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let mut files: Vec<_> = fs::read_dir(folder("seeds").join(target))
        .unwrap_or_else(|_| panic!("{target} has seeds"))
        .map(|file| file.expect("a file").path())
        .collect();
    files.sort();
    files.iter().map(|file| fs::read(file).expect("a seed")).collect()
}

/// Runs the targets whose place leaves `part` when divided by 2: so that two cores share them.
fn smoke(part: usize) {
    for (name, run) in bodies::TARGETS.into_iter().skip(part).step_by(2) {
        let seeds = seeds(name);
        seeds.iter().for_each(|seed| run(seed));
        let seeds: Vec<&[u8]> = seeds.iter().map(|seed| &seed[..]).collect();
        // The same inputs in every run, as far as it comes.
        let (began, mut inputs) = (Instant::now(), 0);
        while began.elapsed() < LONG && inputs < INPUTS {
            each(inputs.into(), ROUND, &seeds, |input| run(input));
            inputs += ROUND;
        }
        println!("{name}: {inputs} inputs");
    }
}

#[test]
fn half_of_the_targets_hold() {
    smoke(0);
}

#[test]
fn the_other_half_holds() {
    smoke(1);
}

/// Each has a program that feeds it, and no program has none.
#[test]
fn each_target_is_a_program_with_seeds() {
    let names: BTreeSet<String> = bodies::TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let manifest = fs::read_to_string(folder("Cargo.toml")).expect("a manifest");
    let listed =
        manifest.lines().filter_map(|line| line.strip_prefix("path = \"targets/")?.strip_suffix(".rs\""));
    assert_eq!(listed.map(str::to_owned).collect::<BTreeSet<_>>(), names);
    for name in &names {
        let program = fs::read_to_string(folder("targets").join(format!("{name}.rs"))).expect("a program");
        assert!(program.contains(&format!("millrace_fuzz::{name}::run")), "{name}");
        assert!(!seeds(name).is_empty(), "{name}");
    }
}
