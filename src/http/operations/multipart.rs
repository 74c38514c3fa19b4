//! Forms of `multipart/form-data` (RFC 7578): fields of text. Files are not parameters.

/// The boundary that a content type names (RFC 2046 section 5.1.1), if it is one of such a form.
pub(crate) fn boundary(content_type: &str) -> Option<&str> {
    let (kind, parameters) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let mut parameters = parameters.split(';').filter_map(|parameter| parameter.split_once('='));
    let (_, value) = parameters.find(|(name, _)| name.trim().eq_ignore_ascii_case("boundary"))?;
    let boundary = value.trim().trim_matches('"');
    (1..=70).contains(&boundary.len()).then_some(boundary)
}

/// The fields of a form, in their order. What is no field is passed over.
pub(super) fn parse(bytes: &[u8], boundary: &str) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(bytes);
    let delimiter = format!("--{boundary}");
    // The first delimiter has no line end before it; all others do, and it is theirs.
    let parts = text.split(&delimiter as &str).skip(1).take_while(|part| !part.starts_with("--"));
    parts.filter_map(field).collect()
}

fn field(part: &str) -> Option<(String, String)> {
    let (head, value) = part.split_once("\r\n\r\n")?;
    let disposition = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-disposition").then_some(value)
    })?;
    let mut name = None;
    for parameter in disposition.split(';') {
        match parameter.trim().split_once('=') {
            Some(("name", value)) => name = Some(value.trim_matches('"').to_owned()),
            Some(("filename" | "filename*", _)) => return None,
            _ => {}
        }
    }
    Some((name?, value.strip_suffix("\r\n").unwrap_or(value).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_boundary_is_found_quoted_or_not() {
        assert_eq!(boundary("multipart/form-data; boundary=abc"), Some("abc"));
        assert_eq!(boundary("Multipart/Form-Data; charset=utf-8; Boundary=\"a b\""), Some("a b"));
        for other in ["multipart/form-data", "multipart/form-data; boundary=", "text/plain; boundary=abc"] {
            assert_eq!(boundary(other), None, "{other}");
        }
    }

    #[test]
    fn fields_are_taken_and_files_are_not() {
        let form = "--x\r\nContent-Disposition: form-data; name=\"op\"\r\n\r\nrooms\r\n\
            --x\r\ncontent-disposition: form-data; name=\"f\"; filename=\"a\"\r\n\r\nbytes\r\n\
            --x\r\nContent-Type: text/plain\r\nContent-Disposition: form-data; name=\"n\"\r\n\r\n\r\n--x--\r\n";
        let fields = [("op".to_owned(), "rooms".to_owned()), ("n".to_owned(), String::new())];
        assert_eq!(parse(form.as_bytes(), "x"), fields);
        for cut in 0..form.len() {
            assert!(parse(&form.as_bytes()[..cut], "x").len() <= 2);
        }
    }
}
