// Bun's own server.
Bun.serve({
  hostname: '127.0.0.1',
  port: Number(process.argv[2]),
  idleTimeout: 75,
  routes: { '/': () => new Response('Hello world!', { headers: { 'Content-Type': 'text/plain; charset=utf-8' } }) },
});
