//! Which of a client's simulcast layers is the smallest, where only its offer can tell.

use crate::sorted::sort_by_key;
use crate::wire::sdp::{RidDirection, Session};

/// Names that are in use for layers, from the smallest up.
const NAMES: [&[&str]; 6] = [
    &["q", "h", "f"],
    &["l", "m", "h"],
    &["low", "mid", "high"],
    &["low", "medium", "high"],
    &["lo", "mid", "hi"],
    // As OBS counts them: from the largest.
    &["3", "2", "1", "0"],
];

/// The layers that the first video of an offer sends, from the smallest up: by the sizes or rates to which it restricts
/// them (RFC 8851 section 5), or by their names. Empty if neither says anything: then the offer's order counts.
pub fn layers_in_order(offer: &str) -> Vec<String> {
    let Ok(session) = Session::parse(offer) else { return Vec::new() };
    let Some(video) = session.media.iter().find(|media| media.kind == "video") else { return Vec::new() };
    let rids: Vec<_> = video.rids().filter(|rid| rid.direction == RidDirection::Send).take(16).collect();
    let names = NAMES.iter().find(|names| rids.iter().all(|rid| names.contains(&rid.id)));
    let rank = |rid: &crate::wire::sdp::Rid<'_>| {
        restricted(rid.restrictions).or_else(|| names?.iter().position(|name| *name == rid.id))
    };
    let ranks: Option<Vec<_>> = rids.iter().map(|rid| Some((rank(rid)?, rid.id))).collect();
    let mut ranks = ranks.unwrap_or_default();
    sort_by_key(&mut ranks, |rank| *rank);
    ranks.into_iter().map(|(_, id)| id.to_owned()).collect()
}

/// What a layer is restricted to: pictures of this many pixels, or else this rate.
fn restricted(restrictions: &str) -> Option<usize> {
    let number = |name: &str| {
        let mut pairs = restrictions.split(';').filter_map(|pair| pair.trim().split_once('='));
        pairs.find(|(key, _)| *key == name)?.1.parse::<usize>().ok()
    };
    match (number("max-width"), number("max-height")) {
        (Some(width), height) => Some(width.saturating_mul(height.unwrap_or(width))),
        (None, Some(height)) => Some(height.saturating_mul(height)),
        (None, None) => number("max-fs").or_else(|| number("max-br")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(rids: &[&str]) -> Vec<String> {
        let head = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\n";
        let rids: String = rids.iter().map(|rid| format!("a=rid:{rid}\r\n")).collect();
        layers_in_order(&format!("{head}{rids}"))
    }

    #[test]
    fn sizes_rates_and_names_tell() {
        assert_eq!(order(&["f send", "h send", "q send"]), ["q", "h", "f"]);
        assert_eq!(order(&["0 send", "1 send", "2 send"]), ["2", "1", "0"]);
        assert_eq!(order(&["h send", "l send"]), ["l", "h"]);
        let restricted =
            ["a send max-width=1280;max-height=720", "b send pt=96;max-width=320;max-height=180"];
        assert_eq!(order(&restricted), ["b", "a"]);
        assert_eq!(order(&["x send max-br=900000", "y send max-br=100000"]), ["y", "x"]);
    }

    #[test]
    fn who_says_nothing_is_taken_at_its_word() {
        assert!(order(&["this send", "that send"]).is_empty());
        assert!(order(&[]).is_empty());
        assert!(layers_in_order("no SDP").is_empty());
    }
}
