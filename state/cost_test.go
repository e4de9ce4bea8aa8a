package state

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"testing"
	"time"

	"backstop/internal/heygen"
)

// rendered is a listing whose pages are made beforehand: it answers one after the other.
type rendered struct {
	pages [][]byte
	next  int
}

func (l *rendered) RoundTrip(r *http.Request) (*http.Response, error) {
	body := l.pages[l.next%len(l.pages)]
	l.next++
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Request: r,
		ContentLength: int64(len(body)), Body: io.NopCloser(bytes.NewReader(body)),
	}, nil
}

// pageOfKilobytes renders a page of 100 events of about a kilobyte, newest first, two seconds apart.
func pageOfKilobytes(page int) []byte {
	var b bytes.Buffer
	b.WriteString(`{"data":[`)
	for i := range 100 {
		if i > 0 {
			b.WriteByte(',')
		}
		n := page*100 + i
		fmt.Fprintf(&b, `{"event_id":"evt_%022d","event_type":"avatar_video.success","event_data":{"video_id":"vid_%d",`+
			`"url":"https://files.example.com/%d.mp4?Signature=%0700d","folder_id":null,"title":"No. %d"},"created_at":"%s"}`,
			n, n, n, n, n, noon().Add(-time.Duration(n)*2*time.Second).Format(time.RFC3339))
	}
	fmt.Fprintf(&b, `],"has_more":true,"next_token":"%d"}`, page+1)
	return b.Bytes()
}

// pagesCost is how many allocations a page costs from the request to the commit, for each of its events.
func pagesCost(t *testing.T, s *Store, l *rendered, want func(Tally) int) float64 {
	t.Helper()
	c, err := heygen.New(heygen.Options{BaseURL: base, Transport: l})
	mustDo(t, err)
	defer c.Close()
	perPage := testing.AllocsPerRun(len(l.pages)-1, func() {
		page, err := c.Page(t.Context(), heygen.PageRequest{Limit: 100})
		mustDo(t, err)
		ready := []Ready{s.Prepare(page.Events)}
		tally, err := s.CommitPages(Pages{Events: page.Events, Ready: ready, Now: noon()})
		mustDo(t, err)
		if want(tally) != 100 {
			t.Fatalf("tally %+v", tally)
		}
	})
	return perPage / 100
}

// TestTheWalkAllocatesLittle pins what an event costs in allocations on its way from the listing into the state, a commit
// for each page included.
func TestTheWalkAllocatesLittle(t *testing.T) {
	const pages = 20
	s, l := lively(t), &rendered{}
	var ids []Sighting
	for page := range pages {
		l.pages = append(l.pages, pageOfKilobytes(page))
		for i := range 100 {
			ids = append(ids, Sighting{ID: fmt.Sprintf("evt_%022d", page*100+i), Proof: Import})
		}
	}
	_, err := s.Record(noon(), ids)
	mustDo(t, err)
	if got := pagesCost(t, s, l, func(n Tally) int { return n.Seen }); got > 18 {
		t.Errorf("a new event that was reported costs %.1f allocations, want at most 18", got)
	}
	l.next = 0
	if got := pagesCost(t, s, l, func(n Tally) int { return n.Known }); got > 5 {
		t.Errorf("a known event costs %.1f allocations, want at most 5", got)
	}
}

// TestSeenRecordsCostFewBytes pins what 100,000 reported ids write, a thousand in a transaction: into the inbox, and from
// there into the ledger when they are listed.
func TestSeenRecordsCostFewBytes(t *testing.T) {
	s := lively(t)
	const transactions, each = 100, 1000
	var inbox, ledger int64
	for i := range transactions {
		seen, events := make([]Sighting, each), make([]heygen.Event, each)
		for n := range events {
			number := i*each + n
			events[each-1-n] = event(fmt.Sprintf("evt_%08x", uint32(number)*2654435761), "vid", "x", 200*time.Hour-time.Duration(number)*5*time.Second)
			seen[n] = Sighting{ID: events[each-1-n].ID, Proof: Report}
		}
		inbox += allocated(t, s, func() { _, err := s.Record(noon(), seen); mustDo(t, err) })
		ledger += allocated(t, s, func() { listed(t, s, events...) })
	}
	if perID := inbox / (transactions * each); perID > 80 {
		t.Errorf("a reported id costs %d bytes, want at most 80", perID)
	}
	if perID := ledger / (transactions * each); perID > 150 {
		t.Errorf("a reported id that is listed costs %d bytes, want at most 150", perID)
	}
}

// allocated counts the bytes of the pages that are written while do runs: in bbolt each page that is allocated is written.
func allocated(t *testing.T, s *Store, do func()) int64 {
	t.Helper()
	before := s.db.Stats()
	do()
	after := s.db.Stats()
	return after.TxStats.GetPageAlloc() - before.TxStats.GetPageAlloc()
}

// TestIdlePollsWriteNothing compares the file, byte by byte.
func TestIdlePollsWriteNothing(t *testing.T) {
	s := lively(t)
	page := Pages{Events: []heygen.Event{event("evt_a", "vid_1", "x", time.Hour)}, Now: noon()}
	_, err := s.CommitPages(page)
	mustDo(t, err, s.FinishWalk(walk(2*time.Hour, time.Hour)))
	listed(t, s, event("evt_b", "vid_2", "x", 30*time.Minute))
	before, err := os.ReadFile(s.Path())
	mustDo(t, err)
	for i := range 20 {
		page.Now = noon().Add(time.Duration(i) * time.Minute)
		page.Ready = []Ready{s.Prepare(page.Events)}
		_, err := s.CommitPages(page)
		mustDo(t, err, s.FinishWalk(walk(2*time.Hour, time.Hour-time.Duration(i)*time.Minute)), s.NotePass(Pass{Kind: "poll", Complete: true}))
	}
	after, err := os.ReadFile(s.Path())
	mustDo(t, err)
	if !bytes.Equal(before, after) {
		t.Error("20 polls that found nothing new changed the file")
	}
}
