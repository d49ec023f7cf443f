// fasthttp, on one processor.
package main

import (
	"os"
	"runtime"

	"github.com/valyala/fasthttp"
)

func hello(ctx *fasthttp.RequestCtx) {
	ctx.SetContentType("text/plain; charset=utf-8")
	ctx.SetBodyString("Hello world!")
}

func main() {
	runtime.GOMAXPROCS(1)
	panic(fasthttp.ListenAndServe("127.0.0.1:"+os.Args[1], hello))
}
