//! The browser's way: WebTransport over HTTP/3, on the same endpoint.

use millrace::signal::message::{ClientLine, Notice, Request, Secret, ServerLine, VERSION};
use tokio::io::{AsyncBufReadExt, BufReader};
use web_transport_quinn::proto::ConnectRequest;
use web_transport_quinn::{ClientBuilder, ClientError, RecvStream, Session};

use crate::client::Server;

async fn connect(server: &Server, path: &str, origin: Option<&str>) -> Result<Session, ClientError> {
    let hash = ring::digest::digest(&ring::digest::SHA256, &server.certificate).as_ref().to_vec();
    let client = ClientBuilder::new().with_server_certificate_hashes(vec![hash]).expect("a client");
    let url: url::Url = format!("https://{}{path}", server.address).parse().expect("a URL");
    let mut request = ConnectRequest::new(url);
    if let Some(origin) = origin {
        request.headers.insert(http::header::ORIGIN, origin.parse().expect("a header"));
    }
    client.connect(request).await
}

async fn line(lines: &mut BufReader<RecvStream>) -> ServerLine {
    let mut line = String::new();
    lines.read_line(&mut line).await.expect("a line");
    ServerLine::parse(line.as_bytes()).expect("a line of the protocol")
}

#[tokio::test]
async fn a_page_of_this_host_signs_in_joins_and_leaves_by_closing() {
    let server = Server::start().await;
    let token = Secret(server.token("Ann").await);
    let session = connect(&server, "/signal", Some("http://localhost:8080")).await.expect("a session");
    let (mut send, receive) = session.open_bi().await.expect("a stream");
    let mut lines = BufReader::new(receive);
    let hello = Request::Hello { v: VERSION, token, resume: None };
    send.write_all(&ClientLine::write(Some(1), &hello)).await.expect("written");
    assert!(matches!(line(&mut lines).await, ServerLine::Answer { re: 1, result: Ok(_) }));
    let join = Request::Join { gid: server.gid, pin: Some(Secret(server.pin.clone())) };
    send.write_all(&ClientLine::write(Some(2), &join)).await.expect("written");
    assert!(matches!(line(&mut lines).await, ServerLine::Answer { re: 2, result: Ok(_) }));
    assert!(matches!(line(&mut lines).await, ServerLine::Notice(Notice::Roster { all: true, .. })));

    let mut bob = server.client(&server.token("Bob").await).await;
    bob.join(server.gid, &server.pin).await.expect("joins");
    bob.notice(|n| matches!(n, Notice::People { all: true, count: 2, .. })).await;
    session.close(0, b"");
    bob.notice(|n| matches!(n, Notice::People { count: 1, left, .. } if left.len() == 1)).await;
}

#[tokio::test]
async fn a_page_of_another_host_and_another_path_are_refused() {
    let server = Server::start().await;
    assert!(connect(&server, "/signal", Some("https://evil.example")).await.is_err());
    assert!(connect(&server, "/", Some("http://localhost:8080")).await.is_err());
    connect(&server, "/signal", None).await.expect("no browser, no origin");
}
