//! Dependency descriptors, one after another as a stream brings them: each is a byte of length and that many bytes.

use millrace::wire::ext::dependency_descriptor::{Descriptor, Structure};

/// One input.
pub fn run(data: &[u8]) {
    let mut in_force: Option<Structure> = None;
    let mut rest = data;
    while let Some((&len, after)) = rest.split_first() {
        let (value, after) = after.split_at(usize::from(len).min(after.len()));
        rest = after;
        let Ok(d) = Descriptor::parse(value, in_force.as_ref()) else { continue };
        let applies = d.structure.as_ref().or(in_force.as_ref()).expect("it would not parse without");
        assert_eq!(d.frame.chains.as_slice().len(), usize::from(applies.chains));
        for target in 0..applies.decode_targets {
            let _ = (applies.layers(target), applies.protected_by(target), d.frame.indications.of(target));
        }
        if d.structure.is_some() {
            in_force = d.structure;
        }
    }
}
