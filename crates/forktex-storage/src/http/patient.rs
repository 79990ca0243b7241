// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Sends requests by reqwest, and gives up where nothing has moved for too long.
//!
//! A limit on a whole request would cut a large object, and a limit on the wait for its answer cuts a body
//! that goes up slowly. So the clock begins anew with each piece that was sent, and with each that came.

use std::error::Error as StdError;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use object_store::client::{
    HttpError, HttpErrorKind, HttpRequest, HttpRequestBody, HttpResponse, HttpResponseBody,
    HttpService,
};
use tokio::time::{Instant, Sleep, sleep, timeout_at};

/// How much is handed on at once: one that is larger would not show that it moves.
const PIECE_BYTES: usize = 64 * 1024;

/// A client that waits as long as something moves.
#[derive(Debug)]
pub(super) struct Patient {
    client: reqwest::Client,
    pause_max: Duration,
}

impl Patient {
    pub(super) fn new(client: reqwest::Client, pause_max: Duration) -> Self {
        Self { client, pause_max }
    }
}

#[async_trait]
impl HttpService for Patient {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let moved = Moved::now();
        let (parts, body) = request.into_parts();
        let body = Upwards {
            body,
            rest: Bytes::new(),
            moved: moved.clone(),
        };
        let request = http::Request::from_parts(parts, reqwest::Body::wrap(body));
        let request = reqwest::Request::try_from(request).map_err(sorted)?;
        let mut sending = std::pin::pin!(self.client.execute(request));
        let answer = loop {
            match timeout_at(moved.last() + self.pause_max, &mut sending).await {
                Ok(answer) => break answer.map_err(sorted)?,
                // A piece went out meanwhile.
                Err(_) if moved.last() + self.pause_max > Instant::now() => {}
                Err(_) => return Err(stalled(self.pause_max)),
            }
        };
        let (parts, body) = http::Response::<reqwest::Body>::from(answer).into_parts();
        let body = Downwards {
            body,
            pause: None,
            pause_max: self.pause_max,
        };
        Ok(HttpResponse::from_parts(parts, HttpResponseBody::new(body)))
    }
}

/// When a piece of the body was last taken to be sent.
#[derive(Clone, Debug)]
struct Moved(Arc<Mutex<Instant>>);

impl Moved {
    fn now() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    fn again(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn last(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A body on its way up, in pieces that show that it moves.
struct Upwards {
    body: HttpRequestBody,
    /// Of a frame that is larger than a piece.
    rest: Bytes,
    moved: Moved,
}

impl Body for Upwards {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        self.moved.again();
        if self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                end => return Poll::Ready(end),
            }
        }
        let bytes = self.rest.len().min(PIECE_BYTES);
        let piece = self.rest.split_to(bytes);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.rest.len() as u64;
        SizeHint::with_exact(rest + self.body.content_length() as u64)
    }
}

/// A body on its way down, which fails where no more of it comes.
struct Downwards {
    body: reqwest::Body,
    /// Runs while the caller waits, and not while the caller does something else.
    pause: Option<Pin<Box<Sleep>>>,
    pause_max: Duration,
}

impl Body for Downwards {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            self.pause = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(sorted)));
        }
        let pause_max = self.pause_max;
        let pause = self.pause.get_or_insert_with(|| Box::pin(sleep(pause_max)));
        ready!(pause.as_mut().poll(context));
        Poll::Ready(Some(Err(stalled(pause_max))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Nothing moved for too long.
#[derive(Debug, thiserror::Error)]
#[error("operation timed out: nothing was sent or received for {pause_max:?}")]
struct Stalled {
    pause_max: Duration,
}

fn stalled(pause_max: Duration) -> HttpError {
    HttpError::new(HttpErrorKind::Timeout, Stalled { pause_max })
}

/// What the repeats go by. The error does not show its URL, whose query may be a signature.
fn sorted(error: reqwest::Error) -> HttpError {
    let kind = if error.is_timeout() {
        HttpErrorKind::Timeout
    } else if error.is_connect() {
        HttpErrorKind::Connect
    } else if error.is_decode() {
        HttpErrorKind::Decode
    } else {
        cause_of(&error).unwrap_or(HttpErrorKind::Unknown)
    };
    HttpError::new(kind, error.without_url())
}

/// What lies below an error of reqwest, which says no more than that sending failed.
fn cause_of(error: &reqwest::Error) -> Option<HttpErrorKind> {
    let causes = std::iter::successors(error.source(), |cause| (*cause).source());
    causes.take(CAUSES_MAX).find_map(kind_of)
}

const CAUSES_MAX: usize = 16;

fn kind_of(cause: &(dyn StdError + 'static)) -> Option<HttpErrorKind> {
    if let Some(error) = cause.downcast_ref::<hyper::Error>() {
        if error.is_closed() || error.is_incomplete_message() || error.is_body_write_aborted() {
            return Some(HttpErrorKind::Request);
        }
        return error.is_timeout().then_some(HttpErrorKind::Timeout);
    }
    match cause.downcast_ref::<std::io::Error>()?.kind() {
        std::io::ErrorKind::TimedOut => Some(HttpErrorKind::Timeout),
        std::io::ErrorKind::ConnectionAborted
        | std::io::ErrorKind::ConnectionReset
        | std::io::ErrorKind::BrokenPipe
        | std::io::ErrorKind::UnexpectedEof => Some(HttpErrorKind::Interrupted),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;
    use object_store::PutPayload;
    use object_store::client::HttpConnector as _;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::config::ClientSettings;
    use crate::http::{Connector, client_options};

    const PAUSE_MAX: Duration = Duration::from_millis(400);
    /// So many fit into no buffer between the two.
    const BODY_BYTES: usize = 32 * 1024 * 1024;

    async fn listen() -> (TcpListener, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        (listener, url)
    }

    async fn put(url: &str, bytes: usize) -> Result<HttpResponse, HttpError> {
        let settings = ClientSettings {
            request_timeout: PAUSE_MAX,
            ..ClientSettings::default()
        };
        let connector = Connector::new(&settings).unwrap();
        let client = connector.connect(&client_options(true)).unwrap();
        let payload = PutPayload::from(vec![7; bytes]);
        let request = http::Request::put(url).body(payload.into()).unwrap();
        client.execute(request).await
    }

    /// Reads all of a request with a body of so many bytes, at most a few at a time.
    async fn read_slowly(stream: &mut TcpStream, bytes: usize) {
        let (mut read, mut buffer) = (0, vec![0; 4 * 1024 * 1024]);
        // The head is shorter than this, and is counted with the body.
        while read < bytes {
            tokio::time::sleep(PAUSE_MAX / 8).await;
            read += stream.read(&mut buffer).await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_body_that_goes_up_slowly_is_not_cut() {
        let (listener, url) = listen().await;
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let began = Instant::now();
            read_slowly(&mut stream, BODY_BYTES).await;
            assert!(began.elapsed() > PAUSE_MAX, "it was no test");
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
            stream.write_all(answer).await.unwrap();
            stream
        };
        let (answer, _stream) = tokio::join!(put(&url, BODY_BYTES), server);
        let body = answer.unwrap().into_body().bytes().await.unwrap();
        assert_eq!(body, "ok");
    }

    #[tokio::test]
    async fn a_server_that_takes_no_more_or_says_nothing_is_given_up() {
        for bytes in [BODY_BYTES, 0] {
            let (listener, url) = listen().await;
            let began = Instant::now();
            let refused = put(&url, bytes).await.unwrap_err();
            assert_eq!(refused.kind(), HttpErrorKind::Timeout, "{refused:?}");
            assert!(began.elapsed() >= PAUSE_MAX);
            drop(listener);
        }
    }

    #[tokio::test]
    async fn an_answer_that_stops_in_the_middle_is_given_up() {
        let (listener, url) = listen().await;
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            read_slowly(&mut stream, 1).await;
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf";
            stream.write_all(answer).await.unwrap();
            stream
        };
        let (answer, _stream) = tokio::join!(put(&url, 0), server);
        let mut body = answer.unwrap().into_body();
        let first = body.frame().await.unwrap().unwrap();
        assert_eq!(first.into_data().unwrap(), "half");
        let refused = body.frame().await.unwrap().unwrap_err();
        assert_eq!(refused.kind(), HttpErrorKind::Timeout);
    }

    #[tokio::test]
    async fn a_server_that_hangs_up_is_told_from_one_that_is_not_there() {
        let (listener, url) = listen().await;
        let server = async {
            let (stream, _) = listener.accept().await.unwrap();
            drop(stream);
        };
        let (refused, ()) = tokio::join!(put(&url, 0), server);
        let kind = refused.unwrap_err().kind();
        assert!(
            matches!(kind, HttpErrorKind::Request | HttpErrorKind::Interrupted),
            "{kind:?}"
        );
        drop(listener);
        let refused = put(&url, 0).await.unwrap_err();
        assert_eq!(refused.kind(), HttpErrorKind::Connect);
    }
}
