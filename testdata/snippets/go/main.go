// A receiver around docs/snippets/go/report.go.
package main

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"log"
	"net/http"
	"os"
)

func main() {
	http.HandleFunc("POST /webhooks/heygen", webhook)
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), nil))
}

func webhook(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil || !signed(r.Header, body) {
		http.Error(w, "not done", http.StatusInternalServerError)
		return
	}
	w.WriteHeader(http.StatusNoContent)
	go reportSeen(r.Header.Get("Heygen-Event-Id"), body)
}

func signed(h http.Header, body []byte) bool {
	mac := hmac.New(sha256.New, []byte(os.Getenv("SECRET")))
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil)) == cmp.Or(h.Get("Heygen-Signature"), h.Get("Signature"))
}
