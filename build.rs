//! What the linker is asked for beyond the ordinary, and the files of the web app, packed.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, io};

#[path = "build/classic.rs"]
mod classic;
#[path = "build/lean.rs"]
mod lean;
#[path = "build/preload.rs"]
mod preload;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=build/classic.rs");
    println!("cargo::rerun-if-changed=build/lean.rs");
    println!("cargo::rerun-if-changed=build/preload.rs");
    println!("cargo::rerun-if-changed=src/web");
    println!("cargo::rerun-if-changed=src/http/v1/openapi.json");
    // A position-independent program is full of pointers that are to be moved: a bit for each (DT_RELR) in place of 24
    // bytes takes a fifth of a megabyte off. Needs glibc 2.36 or musl 1.2.4.
    if env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux") {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
    if links_with_lld() {
        // Functions that came out the same are one.
        println!("cargo::rustc-link-arg-bins=-Wl,--icf=all");
    }
    let source = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("src");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    pack_web(&source, &out).expect("the files of src/web can be read, and OUT_DIR written");
}

/// Whether rustc links with the `lld` that it brings, as it does on this target since 1.90 unless it is told otherwise; other linkers
/// would refuse what it understands.
fn links_with_lld() -> bool {
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|set| set == value);
    let usual = "x86_64-unknown-linux-gnu";
    let told = env::var("CARGO_ENCODED_RUSTFLAGS").is_ok_and(|flags| flags.contains("link"));
    if !is("TARGET", usual) || !is("HOST", usual) || told || env::var_os("RUSTC_LINKER").is_some() {
        return false;
    }
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let asked = Command::new(rustc).args(["--print", "sysroot"]).output();
    let Some(root) = asked.ok().and_then(|told| String::from_utf8(told.stdout).ok()) else { return false };
    Path::new(root.trim()).join("lib/rustlib").join(usual).join("bin/gcc-ld/ld.lld").exists()
}

/// Packs each file of `web` as gzip has it, scripts and styles without what is for readers, the classic script that is made of
/// the SDK, and the description of REST, and lists them as the table of `src/http/files.rs`.
fn pack_web(source: &Path, out: &Path) -> io::Result<()> {
    let root = &source.join("web");
    let mut files = Vec::new();
    walk(root, &mut files)?;
    files.sort();
    let mut table = "[".to_owned();
    let source_of = |path: &str| fs::read_to_string(root.join(path)).ok();
    let classic = classic::script("sdk/millrace.js", &source_of);
    let classic = classic.map_err(io::Error::other)?.into_bytes();
    let read = |file: &PathBuf| {
        let path = file.strip_prefix(root).expect("it was found there").to_path_buf();
        let bytes = match path.extension().and_then(|kind| kind.to_str()) {
            Some("js" | "css") => lean::lean(&fs::read_to_string(file)?).into_bytes(),
            Some("html") => preload::page(&fs::read_to_string(file)?, &source_of).into_bytes(),
            _ => fs::read(file)?,
        };
        Ok((path, bytes))
    };
    let mut all = files.iter().map(read).collect::<io::Result<Vec<_>>>()?;
    all.push((PathBuf::from("mesibo.js"), classic));
    all.push((PathBuf::from("v1/openapi.json"), fs::read(source.join("http/v1/openapi.json"))?));
    for (nth, (path, bytes)) in all.iter().enumerate() {
        let packed = out.join(format!("web-{nth}.gz"));
        fs::write(&packed, gzip(bytes))?;
        writeln!(table, "Embedded {{ path: {path:?}, packed: include_bytes!({packed:?}) }},")
            .expect("a string");
    }
    table.push(']');
    fs::write(out.join("web.rs"), table)
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { walk(&path, files)? } else { files.push(path) }
    }
    Ok(())
}

/// RFC 1952, without a name or a time, so that the same file is packed to the same bytes.
fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 255];
    packed.extend(miniz_oxide::deflate::compress_to_vec(bytes, 10));
    packed.extend(checksum(bytes).to_le_bytes());
    packed.extend((bytes.len() as u32).to_le_bytes());
    packed
}

/// CRC-32 (RFC 1952 section 8).
fn checksum(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |sum, byte| {
        (0..8).fold(
            sum ^ u32::from(*byte),
            |sum, _| if sum & 1 == 1 { sum >> 1 ^ 0xedb8_8320 } else { sum >> 1 },
        )
    })
}
