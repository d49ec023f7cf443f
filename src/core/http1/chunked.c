/* being written */ typedef int vv_stub_http1_chunked;
