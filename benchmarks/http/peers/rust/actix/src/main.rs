//! actix-web with one worker.
use actix_web::{get, http::KeepAlive, App, HttpResponse, HttpServer};

#[get("/")]
async fn hello() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; charset=utf-8").body("Hello world!")
}

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    let port: u16 = std::env::args().nth(1).unwrap().parse().unwrap();
    HttpServer::new(|| App::new().service(hello))
        .workers(1)
        .keep_alive(KeepAlive::Os)
        .bind(("127.0.0.1", port))?
        .run()
        .await
}
