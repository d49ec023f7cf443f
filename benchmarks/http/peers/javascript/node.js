// Node's own server.
const http = require('node:http');

const server = http.createServer((request, response) => {
  response.writeHead(200, { 'Content-Type': 'text/plain; charset=utf-8', 'Content-Length': 12 });
  response.end('Hello world!');
});
server.keepAliveTimeout = 75000;
server.listen(Number(process.argv[2]), '127.0.0.1');
