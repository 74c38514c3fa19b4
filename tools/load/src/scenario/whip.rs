//! WHIP (RFC 9725) and WHEP (draft-ietf-wish-whep), to publish to and watch from any server that has them: an offer is posted,
//! the answer comes back, and what its `Location` names is deleted at the end.
//!
//! Trickle ICE and restarts are left out, as are the servers that `Link` names: the generator runs where it can be reached. So is
//! HTTPS.

use url::Url;

use super::elsewhere::{Leave, Turn, Watching};
use crate::drive::Running;
use crate::publisher::Publisher;
use crate::{Error, sdp, web};

/// Redirections that are followed (RFC 9725 section 4.6: 307).
const REDIRECTIONS: usize = 3;

/// A server, as URLs.
#[derive(Clone, Debug)]
pub struct Whip {
    /// Where one publishes: publishers take them in turn.
    pub whip: Vec<Url>,
    /// Where one watches: viewers take them in turn.
    pub whep: Vec<Url>,
    /// The bearer token, if one is asked for.
    pub bearer: Option<String>,
}

impl Whip {
    pub(super) async fn publish(&self, turn: Turn<'_>) -> Result<(Running<Publisher>, Leave), Error> {
        let url = turn.one_of(&self.whip).ok_or_else(|| Error::Usage("--whip says where".into()))?;
        let Some(publishing) = &turn.group.cohort.publish else {
            unreachable!("only cohorts that publish do")
        };
        let mut publisher = turn.publisher(&publishing.plan());
        let ends = turn.ends(url).await?;
        let offer = sdp::offer(&turn.ours(&ends)?, &publisher.offered());
        let (answer, leave) = self.post(url, &offer).await?;
        let (remote, extensions) = sdp::read_answer(&answer)?;
        publisher.negotiated(extensions);
        Ok((turn.start_publisher(ends, remote, publisher)?, leave))
    }

    pub(super) async fn watch(&self, turn: Turn<'_>) -> Result<Watching, Error> {
        let url = turn.one_of(&self.whep).ok_or_else(|| Error::Usage("--whep says where".into()))?;
        let Some(watching) = &turn.group.cohort.watch else { unreachable!("only cohorts that watch do") };
        let ends = turn.ends(url).await?;
        let offer = sdp::wish(&turn.ours(&ends)?, watching.audio, watching.video);
        let (answer, leave) = self.post(url, &offer).await?;
        turn.start_viewer(ends, sdp::read_offer(&answer)?, leave)
    }

    async fn post(&self, url: &Url, offer: &str) -> Result<(String, Leave), Error> {
        let mut url = url.clone();
        for _ in 0..=REDIRECTIONS {
            let body = ("application/sdp", offer);
            let reply = web::request("POST", &url, self.bearer.as_deref(), Some(body)).await?;
            let location = reply.header("location").and_then(|to| url.join(to).ok());
            match (reply.status, location) {
                (201, Some(resource)) => return Ok((reply.body, Leave::Whip(self.clone(), resource))),
                (201, None) => return Err(reply.refused(&url, "no Location")),
                (307 | 308, Some(to)) => url = to,
                _ => return Err(reply.refused(&url, "refused")),
            }
        }
        Err(Error::Web { url: url.to_string(), why: "one redirection after the other".into() })
    }

    pub(super) async fn leave(&self, resource: &Url) -> Result<(), Error> {
        let reply = web::request("DELETE", resource, self.bearer.as_deref(), None).await?;
        // Gone already is fine, too.
        match reply.status {
            200..=299 | 404 | 410 => Ok(()),
            _ => Err(reply.refused(resource, "not deleted")),
        }
    }
}
