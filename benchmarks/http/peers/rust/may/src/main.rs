//! may_minihttp on one thread.
use std::io;

use may_minihttp::{HttpServer, HttpService, Request, Response};

#[derive(Clone)]
struct Hello;

impl HttpService for Hello {
    fn call(&mut self, _: Request, response: &mut Response) -> io::Result<()> {
        response.header("Content-Type: text/plain; charset=utf-8").body("Hello world!");
        Ok(())
    }
}

fn main() {
    let port: u16 = std::env::args().nth(1).unwrap().parse().unwrap();
    may::config().set_workers(1).set_pool_capacity(1000).set_stack_size(0x1000);
    HttpServer(Hello).start(("127.0.0.1", port)).unwrap().join().unwrap();
}
