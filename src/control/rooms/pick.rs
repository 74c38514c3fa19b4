//! What a link that follows is told of the picture it shows, and what it picks of it: the extensions of WHEP.

use super::view::{WHOLE, within_both};
use super::watch::stream_id;
use super::{LinkId, Rooms};
use crate::control::rooms::publish::Published;
use crate::router::id::LayerId;
use crate::signal::message::{Refusal, StreamRef};
use crate::units::{Bitrate, Instant, PictureSize};

/// One encoding of a picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoding {
    /// What its publisher calls it, or else its place.
    pub name: String,
    /// Its pictures, where they are known.
    pub size: Option<PictureSize>,
    /// How much of it arrives; unknown before that was measured.
    pub rate: Option<Bitrate>,
}

/// What a link that follows shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// How many watch it.
    pub viewers: usize,
    /// Its picture, from the smallest up; nothing of who is only heard.
    pub encodings: Vec<Encoding>,
}

/// What to show of a picture.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pick {
    /// This encoding of it, by its name.
    pub encoding: Option<String>,
    /// Nothing larger than this, lying or standing.
    pub most: Option<PictureSize>,
}

impl Rooms {
    /// What a link that follows shows now, if anything; has that measured.
    pub fn look(&mut self, now: Instant, id: LinkId) -> Option<Shown> {
        let stream = stream_id(self.followed(id)?);
        self.look_at_stream(now, stream);
        let published = self.streams.get(&stream)?;
        Some(Shown { viewers: published.viewers.len(), encodings: self.encodings(now, published) })
    }

    /// Picks what a link that follows is sent of the picture that it shows, until it shows another.
    pub fn pick(&mut self, now: Instant, id: LinkId, pick: &Pick) -> Result<(), Refusal> {
        let nothing = || Refusal::new("NOSTREAM", "Nothing is shown at the moment: pick when something is.");
        let key = self.followed(id).ok_or_else(nothing)?;
        let published = self.streams.get(&stream_id(key)).ok_or_else(nothing)?;
        let encodings = self.encodings(now, published);
        let one = pick.encoding.as_ref().map(|name| size_of(&encodings, name)).transpose()?.flatten();
        let most = pick.most.unwrap_or(WHOLE);
        let viewing = self.links.get_mut(id).map(|link| &mut link.viewing);
        if let Some(wish) = viewing.and_then(|viewing| viewing.wishes.get_mut(&key)) {
            // The smallest that fills its own size is it, and nothing larger is let through.
            wish.show(one.unwrap_or(WHOLE), one.map_or(most, |one| within_both(most, one)));
        }
        self.arrange(id);
        Ok(())
    }

    /// The stream that a link shows which follows.
    fn followed(&self, id: LinkId) -> Option<StreamRef> {
        self.links.get(id)?.viewing.wishes.keys().next().copied()
    }

    fn encodings(&self, now: Instant, published: &Published) -> Vec<Encoding> {
        let Some(track) = published.video else { return Vec::new() };
        let params = self.sessions.get(published.session).and_then(|session| session.params.as_ref());
        let tracks = params.into_iter().flat_map(|params| &params.tracks);
        let layers = tracks.filter(|found| found.id == track).flat_map(|found| &found.layers);
        let mut named: Vec<_> = layers.map(|layer| (layer.layer, layer.rid.to_string())).collect();
        if named.is_empty() {
            named.push((LayerId(0), "0".to_owned()));
        }
        let size = |layer| published.sizes.iter().find(|(of, _)| *of == layer).map(|(_, size)| *size);
        let rate = |layer| self.measures.layer(now, published.session, track, layer).map(|(rate, _)| rate);
        let encodings = named.into_iter();
        encodings.map(|(layer, name)| Encoding { name, size: size(layer), rate: rate(layer) }).collect()
    }
}

/// The size of the encoding of this name; none where there is no other.
fn size_of(encodings: &[Encoding], name: &str) -> Result<Option<PictureSize>, Refusal> {
    let found = encodings.iter().find(|encoding| encoding.name == name);
    let found = found.ok_or_else(|| {
        let names: Vec<_> = encodings.iter().map(|encoding| encoding.name.as_str()).collect();
        Refusal::new("UNPROCESSABLE", format!("There is no such encoding, but these: {}.", names.join(", ")))
    })?;
    match found.size {
        _ if encodings.len() == 1 => Ok(None),
        Some(size) => Ok(Some(size)),
        None => {
            Err(Refusal::new("NOSTREAM", "Nothing of that encoding arrived so far: pick it when it does."))
        }
    }
}
