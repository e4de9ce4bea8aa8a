package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

// walked is what a peer prints when it has walked the listing.
type walked struct {
	Events  int     `json:"events"`
	Missing int     `json:"missing"`
	Seconds float64 `json:"seconds"` // of the walk, without loading what is seen
	cpu     float64 // of the whole process
}

// drop is the floor of every walk: it fetches all pages, reads each body to its
// end, and looks for nothing in it but the next token.
func drop(ctx context.Context, base string) error {
	var sum walked
	body := make([]byte, 0, 1<<20)
	begun := time.Now()
	for token := ""; ; {
		var err error
		if body, err = get(ctx, base+"/v3/webhooks/events?limit=100"+token, body[:0]); err != nil {
			return err
		}
		sum.Events += perPage
		next := nextToken(body)
		if next == "" {
			break
		}
		token = "&token=" + next
	}
	sum.Seconds = time.Since(begun).Seconds()
	return json.NewEncoder(os.Stdout).Encode(sum)
}

func get(ctx context.Context, url string, into []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return into, err
	}
	req.Header.Set("X-Api-Key", "bench")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return into, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return into, fmt.Errorf("get %s: %s", url, resp.Status)
	}
	return readAll(resp.Body, into)
}

func readAll(r io.Reader, into []byte) ([]byte, error) {
	for {
		if len(into) == cap(into) {
			into = append(into, 0)[:len(into)]
		}
		n, err := r.Read(into[len(into):cap(into)])
		into = into[:len(into)+n]
		if errors.Is(err, io.EOF) {
			return into, nil
		}
		if err != nil {
			return into, err
		}
	}
}

// nextToken finds the token behind the rows, "" on the last page.
func nextToken(body []byte) string {
	const name = `"next_token":"`
	tail := body[max(0, len(body)-100):]
	i := bytes.LastIndex(tail, []byte(name))
	if i < 0 {
		return ""
	}
	token, _, _ := bytes.Cut(tail[i+len(name):], []byte{'"'})
	return string(token)
}
