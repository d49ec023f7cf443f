//! What bench_rivals.c calls.
use std::mem::MaybeUninit;

pub use picohttpparser_sys::phr_parse_request;

const FIELDS: usize = 100;

/// Parses one head with httparse; how many bytes it is, or 0. `fields` is set to the number of its fields.
///
/// # Safety
/// `at` points to `len` readable bytes, `fields` to a writable number.
#[no_mangle]
pub unsafe extern "C" fn rival_httparse(at: *const u8, len: usize, fields: *mut usize) -> usize {
    let mut headers = [MaybeUninit::<httparse::Header>::uninit(); FIELDS];
    let mut request = httparse::Request::new(&mut []);
    let bytes = std::slice::from_raw_parts(at, len);
    match request.parse_with_uninit_headers(bytes, &mut headers) {
        Ok(httparse::Status::Complete(used)) => {
            *fields = std::hint::black_box(&request).headers.len();
            used
        }
        _ => 0,
    }
}
