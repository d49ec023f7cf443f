/* Request heads that the parsers are measured on. */
#ifndef VV_BENCH_HEADS_H
#define VV_BENCH_HEADS_H

static const char tiny[] = "GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n";

static const char load[] = "GET /plaintext HTTP/1.1\r\n"
                           "Host: server.example:8080\r\n"
                           "User-Agent: wrk/4.2.0\r\n"
                           "Accept: text/plain,text/html;q=0.9,*/*;q=0.8\r\n"
                           "Connection: keep-alive\r\n\r\n";

static const char browser[] =
    "GET /articles/2024/05/the-shape-of-a-parser?ref=front&page=2 HTTP/1.1\r\n"
    "Host: www.example.com\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:125.0) Gecko/20100101 Firefox/125.0\r\n"
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n"
    "Accept-Language: en-US,en;q=0.7,cs;q=0.3\r\n"
    "Accept-Encoding: gzip, deflate, br\r\n"
    "Referer: https://www.example.com/articles/\r\n"
    "Cookie: session=8f2b1c0e9d7a4f5566778899aabbccdd; theme=dark; _ga=GA1.2.1234567890.1712345678\r\n"
    "Connection: keep-alive\r\n"
    "Upgrade-Insecure-Requests: 1\r\n"
    "Sec-Fetch-Dest: document\r\n"
    "Sec-Fetch-Mode: navigate\r\n"
    "Sec-Fetch-Site: same-origin\r\n"
    "Sec-Fetch-User: ?1\r\n\r\n";

#endif
