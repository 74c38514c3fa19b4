//! What a page's script imports, named in the page: a browser asks for all of it at once, and not for one after another as it reads.

use super::classic::resolve;

/// The page, with a line for each module that its script imports before that of the script.
pub(crate) fn page(page: &str, read: &dyn Fn(&str) -> Option<String>) -> String {
    const SCRIPT: &str = "  <script type=\"module\" src=\"/";
    let Some((head, rest)) = page.split_once(SCRIPT) else { return page.to_owned() };
    let entry = rest.split('"').next().unwrap_or_default();
    let links = imported(entry, read).into_iter();
    let links: String =
        links.map(|path| format!("  <link rel=\"modulepreload\" href=\"/{path}\">\n")).collect();
    format!("{head}{links}{SCRIPT}{rest}")
}

/// The modules that `entry` imports, and those that they do, the nearest first.
fn imported(entry: &str, read: &dyn Fn(&str) -> Option<String>) -> Vec<String> {
    let mut found = vec![entry.to_owned()];
    let mut at = 0;
    while let Some(module) = found.get(at).cloned() {
        let source = read(&module).unwrap_or_default();
        for path in source.lines().filter_map(|line| resolve(&module, from(line)?)) {
            if !found.contains(&path) {
                found.push(path);
            }
        }
        at += 1;
    }
    found.remove(0);
    found
}

/// The module that a line of code imports from.
fn from(line: &str) -> Option<&str> {
    let code = line.trim_start();
    if !(code.starts_with("import ") || code.starts_with("export ") || code.starts_with('}')) {
        return None;
    }
    code.split_once(" from '")?.1.strip_suffix("';")
}
