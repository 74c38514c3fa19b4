//! A look at the ClientHello before DTLS proper: which version must answer so that an AEAD profile results?
//!
//! In DTLS 1.3 dimpl takes the client's first SRTP profile, in 1.2 the best AEAD one. Chromium lists CM-SHA1 first,
//! Firefox AES-128-GCM. A CM-SHA1 packet costs three times a GCM one, for every viewer: so 1.3 answers where the
//! client's first known profile is AEAD, else 1.2.

use super::exchange::Version;
use crate::sorted::sort_by_key;

/// The largest ClientHello taken; with post-quantum key shares they come to 1.9 KB.
const MAX_HELLO: usize = 8 * 1024;
/// Fragments of one ClientHello.
const MAX_FRAGMENTS: usize = 64;

const RECORD_HEADER: usize = 13;
const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;

/// Collects the datagrams of one ClientHello: fragmented, out of order, repeated, with garbage in between.
#[derive(Debug, Default)]
pub(crate) struct Gathering {
    body: Vec<u8>,
    /// Which parts of `body` have come.
    parts: Vec<(usize, usize)>,
    /// The datagrams that brought something, in the order of their arrival.
    datagrams: Vec<Vec<u8>>,
}

impl Gathering {
    /// Takes a datagram; once the hello is whole, returns what it offers.
    pub(crate) fn add(&mut self, datagram: &[u8]) -> Option<Offer> {
        let mut news = false;
        for fragment in fragments(datagram) {
            news |= self.place(&fragment);
        }
        if !news {
            return None;
        }
        self.datagrams.push(datagram.to_vec());
        if !self.whole() {
            return None;
        }
        let offer = Offer::parse(&self.body);
        if offer.is_none() {
            // Looked like a hello and was none: the real one may still come.
            *self = Self::default();
        }
        offer
    }

    /// What DTLS proper is to be fed with.
    pub(super) fn into_datagrams(self) -> Vec<Vec<u8>> {
        self.datagrams
    }

    fn place(&mut self, fragment: &Fragment<'_>) -> bool {
        if fragment.total != self.body.len() {
            *self = Self { body: vec![0; fragment.total], ..Self::default() };
        }
        let end = fragment.offset + fragment.bytes.len();
        let known = self.parts.iter().any(|&(from, to)| from <= fragment.offset && end <= to);
        if known || self.parts.len() >= MAX_FRAGMENTS {
            return false;
        }
        let Some(room) = self.body.get_mut(fragment.offset..end) else { return false };
        room.copy_from_slice(fragment.bytes);
        self.parts.push((fragment.offset, end));
        true
    }

    fn whole(&mut self) -> bool {
        sort_by_key(&mut self.parts, |part| *part);
        let covered =
            self.parts.iter().fold(0, |upto, &(from, to)| if from <= upto { upto.max(to) } else { upto });
        covered == self.body.len()
    }
}

/// A piece of a ClientHello (RFC 6347 section 4.2.2).
struct Fragment<'a> {
    total: usize,
    offset: usize,
    bytes: &'a [u8],
}

/// The pieces of a first ClientHello in a datagram; everything else is passed over.
fn fragments(datagram: &[u8]) -> impl Iterator<Item = Fragment<'_>> {
    let mut records = Reader(datagram);
    let mut messages = Reader(&[]);
    std::iter::from_fn(move || {
        loop {
            if let Some(fragment) = next_fragment(&mut messages) {
                return Some(fragment);
            }
            let header = records.take(RECORD_HEADER)?;
            let &[kind, 0xfe, _, 0, 0, .., high, low] = header else { return None };
            let record = records.take(usize::from(u16::from_be_bytes([high, low])))?;
            if kind == HANDSHAKE {
                messages = Reader(record);
            }
        }
    })
}

fn next_fragment<'a>(messages: &mut Reader<'a>) -> Option<Fragment<'a>> {
    let kind = messages.u8()?;
    let total = messages.u24()?;
    let sequence = messages.u16()?;
    let offset = messages.u24()?;
    let length = messages.u24()?;
    let bytes = messages.take(length)?;
    let fits = !bytes.is_empty() && total <= MAX_HELLO && offset + length <= total;
    (kind == CLIENT_HELLO && sequence == 0 && fits).then_some(Fragment { total, offset, bytes })
}

/// What matters of a ClientHello.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Offer {
    dtls12: bool,
    dtls13: bool,
    /// SRTP profiles in the client's order (RFC 5764 section 4.1.2).
    profiles: Vec<u16>,
}

impl Offer {
    /// Which version answers it.
    pub(super) fn answer(&self) -> Version {
        const CM: u16 = 1;
        const GCM: [u16; 2] = [7, 8];
        let first = self.profiles.iter().find(|p| **p == CM || GCM.contains(p));
        let aead_offered = self.profiles.iter().any(|p| GCM.contains(p));
        let aead_first = first.is_some_and(|p| GCM.contains(p));
        let keeps_aead = aead_first || !aead_offered;
        if self.dtls13 && (keeps_aead || !self.dtls12) { Version::Dtls13 } else { Version::Dtls12 }
    }

    /// Reads the body of a ClientHello (RFC 6347 section 4.2.1, RFC 9147 section 5.3).
    fn parse(body: &[u8]) -> Option<Self> {
        const USE_SRTP: u16 = 14;
        const SUPPORTED_VERSIONS: u16 = 43;
        const DTLS12: u16 = 0xfefd;
        const DTLS13: u16 = 0xfefc;

        let mut hello = Reader(body);
        let legacy_version = hello.u16()?;
        hello.take(32)?; // random
        hello.vector8()?; // session id
        hello.vector8()?; // cookie
        hello.vector16()?; // cipher suites
        hello.vector8()?; // compression methods
        let mut offer = Self { dtls12: legacy_version == DTLS12, ..Self::default() };
        if hello.0.is_empty() {
            return Some(offer);
        }
        let mut extensions = Reader(hello.vector16()?);
        while !extensions.0.is_empty() {
            let kind = extensions.u16()?;
            let mut value = Reader(extensions.vector16()?);
            match kind {
                USE_SRTP => offer.profiles = Reader(value.vector16()?).u16s().collect(),
                SUPPORTED_VERSIONS => {
                    let versions: Vec<u16> = Reader(value.vector8()?).u16s().collect();
                    offer.dtls12 = versions.contains(&DTLS12);
                    offer.dtls13 = versions.contains(&DTLS13);
                }
                _ => {}
            }
        }
        Some(offer)
    }
}

/// Takes bytes off the front, and never more than there are.
#[derive(Clone, Copy)]
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (front, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(front)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }

    fn u24(&mut self) -> Option<usize> {
        Some(usize::from(self.u8()?) << 16 | usize::from(self.u16()?))
    }

    fn vector8(&mut self) -> Option<&'a [u8]> {
        let len = usize::from(self.u8()?);
        self.take(len)
    }

    fn vector16(&mut self) -> Option<&'a [u8]> {
        let len = usize::from(self.u16()?);
        self.take(len)
    }

    fn u16s(mut self) -> impl Iterator<Item = u16> + use<'a> {
        std::iter::from_fn(move || self.u16())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A ClientHello body offering `versions` (none: no such extension) and `profiles`.
    fn hello(versions: &[u16], profiles: &[u16]) -> Vec<u8> {
        let list = |items: &[u16]| items.iter().flat_map(|i| i.to_be_bytes()).collect::<Vec<u8>>();
        let mut extensions = Vec::new();
        if !versions.is_empty() {
            let len = versions.len() as u8 * 2;
            extensions.extend([0, 43, 0, len + 1, len]);
            extensions.extend(list(versions));
        }
        let len = profiles.len() as u8 * 2;
        extensions.extend([0, 14, 0, len + 3, 0, len]);
        extensions.extend(list(profiles));
        extensions.push(0);
        let mut body = vec![0xfe, 0xfd];
        body.extend([7; 32]);
        body.extend([0, 0, 0, 2, 0xc0, 0x2b, 1, 0]);
        body.extend((extensions.len() as u16).to_be_bytes());
        body.extend(extensions);
        body
    }

    /// `body` in records of at most `size` bytes of it each.
    fn records(body: &[u8], size: usize) -> Vec<Vec<u8>> {
        let u24 = |n: usize| [(n >> 16) as u8, (n >> 8) as u8, n as u8];
        let mut made = Vec::new();
        for (n, piece) in body.chunks(size).enumerate() {
            let mut record = vec![22, 0xfe, 0xff, 0, 0, 0, 0, 0, 0, 0, n as u8];
            record.extend((12 + piece.len() as u16).to_be_bytes());
            record.push(1);
            record.extend(u24(body.len()));
            record.extend([0, 0]);
            record.extend(u24(n * size));
            record.extend(u24(piece.len()));
            record.extend(piece);
            made.push(record);
        }
        made
    }

    fn version(versions: &[u16], profiles: &[u16]) -> Version {
        let mut gathering = Gathering::default();
        let offer = records(&hello(versions, profiles), 9000).iter().find_map(|r| gathering.add(r));
        offer.expect("a whole hello").answer()
    }

    #[test]
    fn the_version_is_the_one_that_yields_aead() {
        const BOTH: [u16; 2] = [0xfefc, 0xfefd];
        assert_eq!(version(&BOTH, &[1, 8, 7]), Version::Dtls12, "as Chromium");
        assert_eq!(version(&BOTH, &[7, 8, 1, 2]), Version::Dtls13, "as Firefox");
        assert_eq!(version(&BOTH, &[2, 8, 1]), Version::Dtls13, "2 is CM-SHA1-32, which we do not know");
        assert_eq!(version(&BOTH, &[1]), Version::Dtls13, "no AEAD to gain");
        assert_eq!(version(&[0xfefc], &[1, 8]), Version::Dtls13, "speaks nothing else");
        assert_eq!(version(&[0xfefd], &[7]), Version::Dtls12);
        assert_eq!(version(&[], &[7]), Version::Dtls12);
    }

    #[test]
    fn fragments_come_in_any_order_repeated_and_between_garbage() {
        let body = hello(&[0xfefc, 0xfefd], &[7, 8, 1]);
        let pieces = records(&body, 20);
        assert!(pieces.len() > 3);
        let mut gathering = Gathering::default();
        let mut offer = None;
        for piece in pieces.iter().rev() {
            assert_eq!(offer, None);
            assert_eq!(gathering.add(b"\x16\xfe\xffgarbage"), None);
            assert_eq!(gathering.add(&piece[..piece.len() - 1]), None, "cut short");
            offer = gathering.add(piece);
            if offer.is_none() {
                assert_eq!(gathering.add(piece), None, "repeated");
            }
        }
        assert_eq!(offer.map(|o| o.answer()), Some(Version::Dtls13));
        assert_eq!(gathering.into_datagrams().len(), pieces.len());
    }

    #[test]
    fn what_only_looks_like_a_hello_does_not_lock_the_real_one_out() {
        let mut gathering = Gathering::default();
        assert_eq!(gathering.add(&records(&[9; 50], 100)[0]), None);
        assert_eq!(gathering.add(&records(&[9; 70], 30)[1]), None);
        let real = records(&hello(&[], &[7]), 1000);
        assert!(gathering.add(&real[0]).is_some());
        assert_eq!(gathering.into_datagrams(), real);
    }

    #[test]
    fn no_prefix_of_a_hello_panics_or_passes() {
        let body = hello(&[0xfefc], &[7]);
        for len in 1..body.len() {
            if Offer::parse(&body[..len]).is_some() {
                assert_eq!(len, 2 + 32 + 8, "a hello without extensions is one");
            }
        }
    }
}
