//! hyper on a runtime of one thread, with the option that gathers the answers of a pipeline.
use std::convert::Infallible;

use http_body_util::Full;
use hyper::{
    body::{Bytes, Incoming},
    header::{HeaderValue, CONTENT_TYPE},
    server::conn::http1,
    service::service_fn,
    Request, Response,
};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, runtime, task};

async fn hello(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut response = Response::new(Full::new(Bytes::from_static(b"Hello world!")));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    Ok(response)
}

fn main() {
    let port: u16 = std::env::args().nth(1).unwrap().parse().unwrap();
    let serve = async {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            task::spawn_local(
                http1::Builder::new().pipeline_flush(true).serve_connection(TokioIo::new(stream), service_fn(hello)),
            );
        }
    };
    let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
    task::LocalSet::new().block_on(&runtime, serve);
}
