package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

// hooks ADDRESS is whoever is told of trouble, and a dead man's switch: it prints
// the body of every POST on a line, and "ping" for every GET of /ping. PUT
// /answer/STATUS makes it answer so from then on, and then it prints nothing.
func hooks(args []string) int {
	var status atomic.Int64
	status.Store(http.StatusOK)
	var printing sync.Mutex
	hear := func(w http.ResponseWriter, line string) {
		w.Header().Set("Location", "/ping") // of a redirect, which nobody follows
		w.WriteHeader(int(status.Load()))
		if status.Load() != http.StatusOK {
			return
		}
		printing.Lock()
		defer printing.Unlock()
		fmt.Println(line)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ping", func(w http.ResponseWriter, _ *http.Request) { hear(w, "ping") })
	mux.HandleFunc("POST /", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.Header.Get("Content-Type") != "application/json" {
			http.Error(w, "want a body of JSON", http.StatusBadRequest)
			return
		}
		hear(w, strings.TrimSuffix(string(body), "\n"))
	})
	mux.HandleFunc("PUT /answer/{status}", func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.Atoi(r.PathValue("status"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		status.Store(int64(n))
	})
	fmt.Fprintln(os.Stderr, http.ListenAndServe(args[0], mux))
	return 1
}
