package main

import (
	"fmt"
	"net/http"
	"os"
	"sync"

	"backstop/internal/receiver"
)

// careless is a receiver as a program, with a fault for each path: careless ADDRESS.
// Below them it is an honest one with the secret of its environment.
func careless(args []string) int {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /log", func(http.ResponseWriter, *http.Request) {})
	mux.Handle("POST /blind", receiver.New(receiver.Options{}).Handler())
	mux.Handle("POST /refuses-twice", honest(onSecond(http.StatusConflict)))
	mux.Handle("POST /fails-twice", honest(onSecond(http.StatusInternalServerError)))
	mux.Handle("POST /crashes", crashing(honest(nil)))
	mux.Handle("POST /picky", honest(func(d receiver.Delivery, _ int) int {
		if d.Type == "avatar_video.success" {
			return http.StatusOK
		}
		return http.StatusUnprocessableEntity
	}))
	mux.HandleFunc("POST /hangs", forever)
	mux.HandleFunc("OPTIONS /never", forever)
	mux.HandleFunc("OPTIONS /gateway", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	mux.Handle("OPTIONS /redirect", http.RedirectHandler("https://elsewhere.invalid/hook?token=x", http.StatusTemporaryRedirect))
	fmt.Fprintln(os.Stderr, http.ListenAndServe(args[0], mux))
	return 1
}

func honest(answer func(receiver.Delivery, int) int) http.Handler {
	return receiver.New(receiver.Options{Secrets: []string{os.Getenv("HEYGEN_WEBHOOK_SECRET")}, Answer: answer}).Handler()
}

// onSecond answers a second event of an id so.
func onSecond(status int) func(receiver.Delivery, int) int {
	var met sync.Map
	return func(d receiver.Delivery, _ int) int {
		if _, again := met.LoadOrStore(d.ID, true); again {
			return status
		}
		return http.StatusOK
	}
}

// crashing turns every refusal into a 500, as a receiver does that throws.
func crashing(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(crash{w}, r) })
}

type crash struct{ http.ResponseWriter }

func (c crash) WriteHeader(status int) {
	if status == http.StatusUnauthorized {
		status = http.StatusInternalServerError
	}
	c.ResponseWriter.WriteHeader(status)
}

func forever(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
