//! What the linker is asked for beyond the ordinary.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // A position-independent program is full of pointers that are to be moved: a bit for each (DT_RELR) in place of 24
    // bytes takes a fifth of a megabyte off. Needs glibc 2.36 or musl 1.2.4.
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux") {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}
