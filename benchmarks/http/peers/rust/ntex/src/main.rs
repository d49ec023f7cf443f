//! ntex with one worker.
use ntex::web;

#[web::get("/")]
async fn hello() -> web::HttpResponse {
    web::HttpResponse::Ok().content_type("text/plain; charset=utf-8").body("Hello world!")
}

#[ntex::main]
async fn main() -> std::io::Result<()> {
    let port: u16 = std::env::args().nth(1).unwrap().parse().unwrap();
    web::server(async || web::App::new().service(hello))
        .workers(1)
        .bind(("127.0.0.1", port))?
        .run()
        .await
}
