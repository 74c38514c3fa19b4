//! What befalls participants: other addresses, restarts of ICE, programs that die.

use millrace::control::ids::Sid;
use millrace::signal::message::Request;

use super::Client;
use crate::Error;
use crate::peer::random_credentials;
use crate::sdp::read_offer;

impl Client {
    /// Mutes what one publishes, or shows it again.
    pub async fn mute(&mut self, audio: bool, video: bool) -> Result<(), Error> {
        let mute = Request::Mute { sid: Sid(0), audio: Some(audio), video: Some(video) };
        self.session.request("mute", &mute).await.map(drop)
    }

    /// Goes on from other addresses of ours, signalling and media alike, as a phone does that leaves the house.
    pub async fn change_address(&self) -> Result<(), Error> {
        self.shared.change_address().await?;
        if let Some(viewer) = &self.viewer {
            viewer.change_address();
        }
        if let Some(line) = &self.published {
            line.change_address();
        }
        Ok(())
    }

    /// Restarts ICE (RFC 8445 section 9) of what one publishes; for what one watches, the server offers it.
    pub async fn restart_ice(&mut self) -> Result<(), Error> {
        if let Some(line) = self.published.clone() {
            line.restart(&self.shared, &mut self.session).await?;
        }
        if self.viewer.is_some() {
            let restart = Request::Restart { sid: None, sdp: None, watching: true };
            self.session.request("restart", &restart).await?;
        }
        Ok(())
    }

    /// Is gone without a word, as a program that died.
    pub async fn vanish(self) {
        if let Some(line) = &self.published {
            line.fall_silent().await;
        }
        if let Some(viewer) = self.viewer {
            // How it ended is of no interest.
            let _ = viewer.stop().await;
        }
        self.session.lose();
    }

    /// Answers an offer for a connection that there is: where it has other credentials of the server's, ICE restarts.
    pub(super) async fn answer_again(&mut self, rev: u32, offer: &str) -> Result<(), Error> {
        let Some(viewer) = &self.viewer else { return Ok(()) };
        let offered = read_offer(offer)?;
        let mut remote = offered.remote.clone();
        let restarted = self.theirs.as_ref().is_some_and(|before| *before != remote.ice);
        let ice = if restarted { random_credentials() } else { self.ice.clone() };
        viewer.changer()(Box::new(move |viewer| viewer.renegotiated(offered)));
        let sdp = self.shared.answer(&ice, offer)?;
        self.session.request("answer", &Request::Answer { rev, sdp }).await?;
        if restarted {
            self.theirs = Some(remote.ice.clone());
            self.ice = ice.clone();
            remote.reached(self.shared.server());
            viewer.restart(ice, remote);
        }
        Ok(())
    }
}
