package poller

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"backstop/internal/heygen"
	"backstop/state"
)

// segment reads one segment of a walk. Its guards are its own: what the head
// has read is rightly met again by the segment below it.
type segment struct {
	run    *run
	seg    *state.Segment
	order  order
	guard  *guard
	pieces *pieces
	asked  *question // the page asked for and not yet taken; nil: none
	stale  bool      // resumed, and nothing was read from its cursor yet
}

// question is a page on its way. A goroutine asks; it ends with the answer,
// which always has room, or soon after cancel.
type question struct {
	at     time.Time
	answer chan answer
	cancel context.CancelFunc
}

type answer struct {
	page  *heygen.Page
	err   error
	crash string // a panic of the listing, to be raised where the walk is
}

func newSegment(r *run, seg *state.Segment) *segment {
	s := &segment{run: r, seg: seg, guard: newGuard(), pieces: newPieces(r.w.o.PageSize, seg.Limit), stale: seg.Pages > 0}
	s.order = order{slack: r.w.o.Lookback, newest: seg.Newest, lowest: seg.Lowest, falling: seg.Ordered, rising: true, horizon: seg.Horizon}
	seg.Limit = s.pieces.limit()
	return s
}

// ask asks for the page at the segment's cursor.
func (s *segment) ask(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	q := &question{at: time.Now(), answer: make(chan answer, 1), cancel: cancel}
	request := heygen.PageRequest{Query: s.run.w.o.Query, Limit: s.seg.Limit, Token: s.seg.Token}
	s.asked = q
	s.run.result.Requests++
	go func() { q.answer <- fetch(ctx, s.run.w.listing, request) }()
}

// fetch asks the listing. A panic is carried over, for nothing above this
// goroutine could recover from it.
func fetch(ctx context.Context, l Listing, request heygen.PageRequest) (a answer) {
	defer func() {
		if v := recover(); v != nil {
			a.crash = fmt.Sprintf("%v\n%s", v, debug.Stack())
		}
	}()
	a.page, a.err = l.Page(ctx, request)
	return a
}

// await waits for the page asked for. While it waits, pages that were held long
// enough are committed.
func (s *segment) await() (*heygen.Page, error) {
	if r := s.run; r.held.pages > 0 {
		timer := time.NewTimer(time.Until(r.held.since.Add(groupTime)))
		defer timer.Stop()
		select {
		case a := <-s.asked.answer:
			return s.arrived(a)
		case <-timer.C:
			if err := r.flush(); err != nil {
				return nil, err
			}
		}
	}
	return s.arrived(<-s.asked.answer)
}

func (s *segment) arrived(a answer) (*heygen.Page, error) {
	s.asked.cancel()
	at := s.asked.at
	s.asked = nil
	if a.crash != "" {
		panic(a.crash)
	}
	if a.err == nil && s.seg.Pages == 0 {
		s.seg.Start = s.run.begun(at, a.page.Date)
	}
	return a.page, a.err
}

// drop forgets a page that is on its way and waits for whoever asks.
func (s *segment) drop() {
	if s.asked == nil {
		return
	}
	s.asked.cancel()
	<-s.asked.answer
	s.asked = nil
}

// take measures a page and moves the cursor behind it. When the walk can't go
// on behind it, the cursor stays at it.
func (s *segment) take(page *heygen.Page) error {
	for _, e := range page.Events {
		s.order.see(e.CreatedAt)
	}
	s.seg.Newest, s.seg.Lowest, s.seg.Ordered = s.order.newest, s.order.lowest, s.order.falling
	s.run.result.Pages++
	s.tell(page)
	next, horizon := page.Next, s.seg.Horizon
	switch {
	case page.Last:
		next, horizon = "", time.Time{}
	case s.pieces.whole() && s.order.passed(page.Events):
		next = ""
	default:
		if reason := s.guard.check(s.seg.Token, page, s.pieces.patience()); reason != "" {
			return s.broken(reason)
		}
	}
	rows := len(page.Events) + len(page.Bad)
	s.stale = s.stale && rows == 0
	s.pieces.read(rows)
	s.seg.Token, s.seg.Horizon, s.seg.Limit = next, horizon, s.pieces.limit()
	s.seg.Pages++
	s.seg.Events += len(page.Events)
	return nil
}

// broken ends the walk. But a cursor from a walk before this one that leads
// nowhere is as good as refused: a fresh walk may find a way.
func (s *segment) broken(reason string) error {
	if s.stale {
		return &refusedError{&brokenError{reason: reason}}
	}
	return &brokenError{reason: reason}
}

// explain turns an error of the listing into what it means for the walk.
func (s *segment) explain(err error) error {
	switch {
	case errors.Is(err, heygen.ErrCursor) && s.seg.Token != "":
		return &refusedError{err}
	case errors.Is(err, heygen.ErrUnreadable):
		return &brokenError{"a page can't be read, not even row by row", err}
	}
	return err
}

// tell logs the page, and the order where it has changed.
func (s *segment) tell(page *heygen.Page) {
	s.run.result.Order = s.order.word()
	if !s.order.falling || s.order.proved() {
		s.run.w.tellOrder(s.order.falling, s.order.word())
	}
	s.run.w.log.Debug("page", "kind", s.run.result.Kind.String(), "page", s.run.result.Pages, "events", len(page.Events),
		"bad", len(page.Bad), "bytes", page.Bytes, "last", page.Last, "request_id", page.RequestID)
}

// refusedError asks for the walk to be begun anew.
type refusedError struct{ cause error }

func (e *refusedError) Error() string { return e.cause.Error() }
