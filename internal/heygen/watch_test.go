package heygen

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
)

// Each attempt at the listing is told, and no other request; a page only when it could be read.
func TestWatch(t *testing.T) {
	var mu sync.Mutex
	var told []string
	pages := 0
	watch := func(o *Options) {
		o.Watch = Watch{
			Request: func(status int, err error) {
				mu.Lock()
				defer mu.Unlock()
				told = append(told, fmt.Sprint(status, " ", err != nil))
			},
			Page: func() { pages++ },
		}
	}
	cut := raw("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")
	vanish := func(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) }
	c := serve(t, sequence(text(503, "", "Connection", "close"), vanish, fine(), cut, fine()), watch)
	for range 2 {
		if _, err := c.Page(t.Context(), PageRequest{}); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"503 false", "0 true", "200 false", "200 false", "200 false"}
	if !slices.Equal(told, want) || pages != 2 {
		t.Errorf("told %q and %d pages, want %q and 2", told, pages, want)
	}
}
