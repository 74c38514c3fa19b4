//! Scripts and styles without what is for readers alone: comments, and the space before each line. Lines stay where they are, so
//! that what a browser says of one names the line of the source.

/// The script or style sheet without comments that have a line to themselves, without types, and without indentation.
///
/// It knows of the language only what a template literal is, in which everything stays. Where their ends cannot be told it answers what
/// it was given.
pub(crate) fn lean(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut comment = false;
    let mut template = false;
    for line in source.lines() {
        let bare = line.trim();
        if comment {
            comment = !bare.ends_with("*/");
        } else if template {
            out.push_str(line);
            template ^= odd_backticks(line);
        } else if bare.starts_with("/*") && !bare.contains("*/") {
            comment = true;
        } else if !(bare.starts_with("//") || bare.starts_with("/*") && bare.ends_with("*/")) {
            let code = without_types(bare);
            template = odd_backticks(&code);
            out.push_str(&code);
        }
        out.push('\n');
    }
    if comment || template { source.to_owned() } else { out }
}

/// A line without the comments in it that tell a type.
fn without_types(line: &str) -> String {
    let mut code = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find("/** @type ") {
        let Some(length) = rest[at..].find("*/") else { break };
        code.push_str(&rest[..at]);
        rest = rest[at + length + 2..].trim_start();
    }
    code.push_str(rest);
    code
}

fn odd_backticks(line: &str) -> bool {
    line.matches('`').count() % 2 == 1
}
