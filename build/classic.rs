//! The SDK as one classic script: each module becomes a function that is run once, after those that it imports.
//!
//! It knows no more of JavaScript than how the SDK is written: `import` and `export` begin a line, and what they say ends with a
//! semicolon. Whatever else it meets there stops the build.

use std::fmt::Write as _;

use super::lean::lean;

/// A module, taken apart.
#[derive(Default)]
struct Module {
    /// (what it imports as the inside of a pattern or the name of all, from which module)
    imports: Vec<(String, String)>,
    /// What it answers to those who import it, as members of an object.
    exports: Vec<String>,
    /// The modules whose exports it passes on.
    passes: Vec<String>,
    body: String,
}

/// The script of the module `entry` and all that it imports. Its exports become names of the page.
pub(crate) fn script(entry: &str, read: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut out = String::from(
        "// SPDX-License-Identifier: Apache-2.0\n// Made of the modules of the SDK, which say what all of this is.\n(() => {\n'use strict';\n\
         const home = new URL('.', document.currentScript?.src ?? location.href);\nconst modules = {}, later = [];\n",
    );
    append(entry, read, &mut Vec::new(), &mut out)?;
    write!(
        out,
        "for (const fill of later) fill();\nObject.assign(globalThis, modules['{entry}']);\n}})();\n"
    )
    .expect("a string");
    Ok(out)
}

/// Adds a module after those that it imports. `begun` lists those that were begun, and whether they are whole.
fn append(
    path: &str,
    read: &dyn Fn(&str) -> Option<String>,
    begun: &mut Vec<(String, bool)>,
    out: &mut String,
) -> Result<(), String> {
    if begun.iter().any(|(known, _)| known == path) {
        return Ok(());
    }
    begun.push((path.to_owned(), false));
    let module = parse(path, &read(path).ok_or_else(|| format!("{path} is not there"))?)?;
    for from in module.imports.iter().map(|(_, from)| from).chain(&module.passes) {
        append(from, read, begun, out)?;
    }
    writeln!(out, "modules['{path}'] = (() => {{").expect("a string");
    for (what, from) in &module.imports {
        let whole = begun.iter().any(|(known, whole)| known == from && *whole);
        if whole {
            writeln!(out, "const {what} = modules['{from}'];").expect("a string");
        } else {
            // Each needs the other: it has it when all have run.
            let names: Vec<_> = what.trim_matches(['{', '}', ' ']).split(',').map(local).collect();
            writeln!(out, "let {}; later.push(() => {{ ({what} = modules['{from}']); }});", names.join(", "))
                .expect("a string");
        }
    }
    out.push_str(&module.body);
    let passed = module.passes.iter().map(|from| format!("...modules['{from}']"));
    let all: Vec<_> = passed.chain(module.exports).collect();
    writeln!(out, "return {{ {} }};\n}})();", all.join(", ")).expect("a string");
    if let Some(known) = begun.iter_mut().find(|(known, _)| known == path) {
        known.1 = true;
    }
    Ok(())
}

/// The name that a member of a pattern has here: `b` of `a: b`.
fn local(member: &str) -> String {
    member.rsplit(':').next().unwrap_or(member).trim().to_owned()
}

fn parse(path: &str, text: &str) -> Result<Module, String> {
    let code = lean(text).replace("import.meta.url", &format!("new URL('{path}', home).href"));
    let mut module = Module::default();
    let mut lines = code.lines();
    while let Some(line) = lines.next() {
        if line.is_empty() {
            continue;
        }
        if !line.starts_with("import ") && !line.starts_with("export ") {
            module.body.push_str(line);
            module.body.push('\n');
            continue;
        }
        if let Some(declared) = line.strip_prefix("export ").filter(|rest| !rest.starts_with(['{', '*'])) {
            let name = declared_name(declared).ok_or_else(|| format!("{path}: cannot say {line:?}"))?;
            module.exports.push(name.to_owned());
            module.body.push_str(declared);
            module.body.push('\n');
            continue;
        }
        let mut statement = line.to_owned();
        while !statement.ends_with(';') {
            let more = lines.next().ok_or_else(|| format!("{path}: {line:?} has no end"))?;
            statement.push(' ');
            statement.push_str(more.trim());
        }
        module
            .take(path, statement.trim_end_matches(';'))
            .ok_or_else(|| format!("{path}: cannot say {statement:?}"))?;
    }
    Ok(module)
}

impl Module {
    /// Takes in an import, or an export of what stands elsewhere.
    fn take(&mut self, path: &str, statement: &str) -> Option<()> {
        let (kind, rest) = statement.split_once(' ')?;
        let (what, from) = match rest.split_once(" from ") {
            Some((what, from)) => (what, Some(resolve(path, from.trim().trim_matches('\''))?)),
            None => (rest, None),
        };
        match (kind, what.trim(), from) {
            ("import", all, Some(from)) if all.starts_with("* as ") => {
                self.imports.push((all.trim_start_matches("* as ").to_owned(), from));
            }
            ("import", names, Some(from)) => self.imports.push((renamed(names, false)?, from)),
            ("export", "*", Some(from)) => self.passes.push(from),
            ("export", names, from) => {
                // What is passed on is imported first.
                let own: Vec<_> =
                    names.trim_matches(['{', '}', ' ', ',']).split(',').map(str::trim).collect();
                if let Some(from) = from {
                    let mut once: Vec<_> =
                        own.iter().map(|name| name.split(" as ").next().unwrap_or(name)).collect();
                    once.dedup();
                    self.imports.push((format!("{{ {} }}", once.join(", ")), from));
                }
                if !names.trim_matches(['{', '}', ' ']).is_empty() {
                    self.exports.push(renamed(names, true)?.trim_matches(['{', '}', ' ']).to_owned());
                }
            }
            _ => return None,
        }
        Some(())
    }
}

/// `{ a, b as c }` as a pattern (`{ a, b: c }`), or the other way round as an object (`{ a, c: b }`).
fn renamed(names: &str, object: bool) -> Option<String> {
    let inside = names.strip_prefix('{')?.strip_suffix('}')?;
    let members = inside.split(',').map(str::trim).filter(|name| !name.is_empty());
    let members = members.map(|name| match name.split_once(" as ") {
        Some((from, to)) if object => format!("{to}: {from}"),
        Some((from, to)) => format!("{from}: {to}"),
        None => name.to_owned(),
    });
    Some(format!("{{ {} }}", members.collect::<Vec<_>>().join(", ")))
}

/// The name that a declaration gives.
fn declared_name(declaration: &str) -> Option<&str> {
    let rest = ["class ", "function ", "async function ", "const "]
        .iter()
        .find_map(|kind| declaration.strip_prefix(kind))?;
    rest.split(|other: char| !other.is_alphanumeric() && other != '_').next().filter(|name| !name.is_empty())
}

/// The module that `from` names in the module at `path`.
pub(crate) fn resolve(path: &str, from: &str) -> Option<String> {
    let mut parts: Vec<_> = path.split('/').collect();
    parts.pop();
    for part in from.split('/') {
        match part {
            "." => {}
            ".." => drop(parts.pop()?),
            name => parts.push(name),
        }
    }
    from.starts_with('.').then(|| parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(modules: &[(&str, &str)]) -> Result<String, String> {
        let read =
            |path: &str| modules.iter().find(|(known, _)| *known == path).map(|(_, text)| (*text).to_owned());
        script(modules[0].0, &read)
    }

    #[test]
    fn what_is_imported_runs_first_and_what_is_passed_on_is_exported() {
        let entry = "import { a,\n  b as c } from './deep/two.js';\nexport * from './three.js';\nexport { a, c as d };\nexport { e as E } from './three.js';\n";
        let script = of(&[
            ("sdk/one.js", entry),
            (
                "sdk/deep/two.js",
                "import * as all from '../three.js';\nexport function a() {}\nexport const b = all.e;\n",
            ),
            ("sdk/three.js", "/** Says\n * nothing. */\nexport class e {}\n"),
        ])
        .expect("a script");
        let place = |part: &str| script.find(part).unwrap_or_else(|| panic!("{part} is in {script}"));
        let order = [
            "modules['sdk/three.js'] = (() => {\nclass e {}\nreturn { e };\n})();",
            "modules['sdk/deep/two.js'] = (() => {\nconst all = modules['sdk/three.js'];\nfunction a() {}\nconst b = all.e;\nreturn { a, b };",
            "const { a, b: c } = modules['sdk/deep/two.js'];\nconst { e } = modules['sdk/three.js'];\nreturn { ...modules['sdk/three.js'], a, d: c, E: e };",
            "Object.assign(globalThis, modules['sdk/one.js']);",
        ];
        assert!(order.map(place).is_sorted());
        assert!(!script.contains("nothing"), "comments are left out");
    }

    #[test]
    fn who_needs_each_other_have_each_other_in_the_end() {
        let script = of(&[
            ("a.js", "import { B } from './b.js';\nexport const A = () => B;\n"),
            ("b.js", "import { A as first } from './a.js';\nexport const B = () => first;\n"),
        ])
        .expect("a script");
        assert!(
            script.contains("let first; later.push(() => { ({ A: first } = modules['a.js']); });"),
            "{script}"
        );
    }

    #[test]
    fn where_the_script_came_from_is_known() {
        let script =
            of(&[("sdk/a.js", "export const HOME = new URL('..', import.meta.url);\n")]).expect("a script");
        assert!(script.contains("new URL('..', new URL('sdk/a.js', home).href)"), "{script}");
    }

    #[test]
    fn what_it_does_not_understand_stops_the_build() {
        for text in ["export default 1;", "import './b.js';", "import { a } from 'far';", "export let a = 1;"]
        {
            assert!(of(&[("a.js", &format!("{text}\n"))]).is_err(), "{text}");
        }
    }
}
