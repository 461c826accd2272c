//! What the servers promise to any client.

use std::time::Duration;

use flags::{Country, Delay, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Runs a test under a time limit.
async fn limited<T>(test: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), test)
        .await
        .expect("it takes too long")
}

/// Sends a request as it stands, which clients that tidy up paths would not do. Returns the answer.
async fn send(server: &Server, request_line: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(server.address()).await?;
    let request = format!("{request_line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

async fn status(server: &Server, request_line: &str) -> u16 {
    let answer = send(server, request_line).await.unwrap();
    answer
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .unwrap()
}

#[tokio::test]
async fn every_country_has_a_picture_and_metadata() {
    limited(async {
        let server = Server::local().start().await.unwrap();
        for country in Country::all() {
            let code = country.code.lower();
            let picture = send(&server, &format!("GET /flags/{code}/{code}.svg"))
                .await
                .unwrap();
            assert!(picture.contains("content-type: image/svg+xml"), "{picture}");
            assert!(picture.ends_with(country.picture), "{code}");
            let json = send(&server, &format!("GET /flags/{code}/metadata.json"))
                .await
                .unwrap();
            assert!(json.contains("content-type: application/json"), "{json}");
            assert!(json.ends_with(&country.metadata()), "{code}");
        }
        let stats = server.stats();
        assert_eq!(
            (stats.requests, stats.served, stats.connections),
            (388, 388, 388)
        );
    })
    .await;
}

#[tokio::test]
async fn unknown_codes_and_path_tricks_are_not_found() {
    limited(async {
        let server = Server::local().start().await.unwrap();
        let tricks = [
            "/",
            "/flags",
            "/flags/",
            "/flags/cn",
            "/flags/zz/zz.svg",
            "/flags/zz/metadata.json",
            "/flags/CN/CN.svg",
            "/flags/cn/jp.svg",
            "/flags/cn/cn.gif",
            "/flags/cn/cn.svg/",
            "/flags/cn/cn.svg%00",
            "/flags//cn/cn.svg",
            "//flags/cn/cn.svg",
            "/flags/cn/../cn/cn.svg",
            "/flags/../flags/cn/cn.svg",
            "/../../../../etc/passwd",
            "/flags/../../../../../etc/passwd",
            "/flags/..%2f..%2fetc/passwd",
            "/flags/%2e%2e/%2e%2e/etc/passwd",
            "/etc/passwd",
            "/Cargo.toml",
            "/flags/cn/..\\..\\cn.svg",
            "/flags/%63%6e/cn.svg",
        ];
        for path in tricks {
            assert_eq!(status(&server, &format!("GET {path}")).await, 404, "{path}");
        }
        assert_eq!(server.stats().not_found, tricks.len() as u64);
    })
    .await;
}

#[tokio::test]
async fn only_get_and_head_are_allowed() {
    limited(async {
        let server = Server::local().start().await.unwrap();
        let head = send(&server, "HEAD /flags/cn/cn.svg").await.unwrap();
        assert!(
            head.starts_with("HTTP/1.1 200 ") && head.ends_with("\r\n\r\n"),
            "{head}"
        );
        for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
            assert_eq!(
                status(&server, &format!("{method} /flags/cn/cn.svg")).await,
                405
            );
        }
    })
    .await;
}

#[tokio::test]
async fn error_rates_of_one_hit_every_request() {
    limited(async {
        let failing = Server::error()
            .delays(Delay::None)
            .error_rate(1.0)
            .statuses([503]);
        let failing = failing.start().await.unwrap();
        assert_eq!(status(&failing, "GET /flags/cn/cn.svg").await, 503);
        assert_eq!(failing.stats().failed, 1);

        let resetting = Server::local().reset_rate(1.0).start().await.unwrap();
        let error = send(&resetting, "GET /flags/cn/cn.svg").await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
        assert_eq!(resetting.stats().resets, 1);
    })
    .await;
}

#[tokio::test]
async fn a_seed_repeats_itself_in_another_server_and_after_a_rewind() {
    async fn statuses(server: &Server) -> Vec<Option<String>> {
        let mut statuses = Vec::new();
        for _ in 0..3 {
            for code in ["cn", "jp", "fr", "zz", "de", "br"] {
                let answer = send(server, &format!("GET /flags/{code}/{code}.svg")).await;
                statuses.push(answer.ok().map(|answer| answer[9..12].to_owned()));
            }
        }
        statuses
    }
    limited(async {
        let start = || Server::error().delays(Delay::None).seed(5).start();
        let (first, second) = (start().await.unwrap(), start().await.unwrap());
        let wanted = statuses(&first).await;
        assert!(wanted.contains(&Some("200".into())) && wanted.contains(&Some("418".into())));
        assert_eq!(statuses(&second).await, wanted);
        first.rewind();
        assert_eq!(first.stats().requests, 0);
        assert_eq!(statuses(&first).await, wanted);
    })
    .await;
}

#[tokio::test]
async fn a_delay_comes_before_a_404_as_well() {
    limited(async {
        let wait = Duration::from_millis(100);
        let server = Server::delay()
            .delays(Delay::Fixed(wait))
            .start()
            .await
            .unwrap();
        let since = std::time::Instant::now();
        assert_eq!(status(&server, "GET /flags/zz/zz.svg").await, 404);
        assert!(since.elapsed() >= wait);
    })
    .await;
}

#[tokio::test]
async fn a_stopped_server_is_gone_with_all_its_connections() {
    limited(async {
        let slow = Server::delay().delays(Delay::Fixed(Duration::from_secs(3600)));
        let server = slow.start().await.unwrap();
        let address = server.address();
        let mut waiting = TcpStream::connect(address).await.unwrap();
        waiting
            .write_all(b"GET /flags/cn/cn.svg HTTP/1.1\r\nhost: x\r\n\r\n")
            .await
            .unwrap();
        while server.stats().open_requests == 0 {
            tokio::task::yield_now().await;
        }
        server.stop().await;
        assert_eq!(waiting.read(&mut [0; 100]).await.unwrap_or(0), 0);
        assert!(TcpStream::connect(address).await.is_err());
    })
    .await;
}

#[tokio::test]
async fn a_dropped_server_stops() {
    limited(async {
        let server = Server::local().start().await.unwrap();
        let address = server.address();
        assert!(TcpStream::connect(address).await.is_ok());
        drop(server);
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
