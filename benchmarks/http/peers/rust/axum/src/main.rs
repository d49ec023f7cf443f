//! axum on a runtime of one thread.
use axum::{http::header::CONTENT_TYPE, response::IntoResponse, routing::get, serve::ListenerExt, Router};

async fn hello() -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/plain; charset=utf-8")], "Hello world!")
}

fn main() {
    let port: u16 = std::env::args().nth(1).unwrap().parse().unwrap();
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let listener = listener.tap_io(|stream| stream.set_nodelay(true).unwrap());
        axum::serve(listener, Router::new().route("/", get(hello))).await.unwrap();
    });
}
