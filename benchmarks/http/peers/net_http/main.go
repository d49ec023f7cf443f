// Go's own server, on one processor.
package main

import (
	"net/http"
	"os"
	"runtime"
)

func hello(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("Hello world!"))
}

func main() {
	runtime.GOMAXPROCS(1)
	http.HandleFunc("/", hello)
	panic(http.ListenAndServe("127.0.0.1:"+os.Args[1], nil))
}
