package main_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

// reply is what a hostile receiver does with one POST. The zero reply takes the
// event and says so at once.
type reply struct {
	status int           // 0: 200
	work   time.Duration // before it decides
	late   bool          // it answers once the sender has gone away, and not before
	reset  bool          // it decides, and then breaks the connection off instead of answering
	body   flood         // of the answer
	retry  string        // Retry-After; "": none
}

// flood is the body of an answer.
type flood int

const (
	nothing flood = iota
	drip          // it never ends: a byte now and then
	torrent       // it never ends: as fast as it is read
	huge          // ten gigabytes are announced, and sent as fast as they are read
)

// arrival is one POST as the receiver saw it.
type arrival struct {
	id, life string
	nth      int // POSTs of this id before
	attempt  int // X-Backstop-Attempt
	signed   bool
	at       time.Time
	left     time.Time // until then the sender waited for certain; zero: it waits
	status   int       // what was decided; 0: nothing yet
	through  bool      // the answer left in good time: only a kill can have lost it
	read     int64     // bytes of an endless answer that the sender took
	closed   time.Time // when it had enough of that
}

// took reports whether the receiver has the event from this POST.
func (a arrival) took() bool { return a.status/100 == 2 }

// hostile is a receiver that behaves as it is told, and writes down every POST.
type hostile struct {
	secret string
	least  time.Duration // of the work for any POST
	sure   time.Duration // so long after its arrival a POST is certainly still waited for
	behave func(arrival) reply

	mu    sync.Mutex
	log   []*arrival
	count map[string]int // POSTs by id
	taken map[string]bool
	comes chan struct{} // closed when there is something new
}

func newHostile(secret string, sure time.Duration, behave func(arrival) reply) *hostile {
	if behave == nil {
		behave = func(arrival) reply { return reply{} }
	}
	return &hostile{secret: secret, sure: sure, behave: behave, count: map[string]int{}, taken: map[string]bool{}, comes: make(chan struct{})}
}

func (h *hostile) ServeHTTP(rw http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return // it never came whole
	}
	a := h.arrive(req.Header, body)
	r := h.mood()(*a)
	h.work(req, r)
	h.decide(a, r)
	if r.reset {
		reset(rw)
		return
	}
	h.answer(rw, req, a, r)
}

// arrive writes a POST down.
func (h *hostile) arrive(header http.Header, body []byte) *arrival {
	attempt, _ := strconv.Atoi(header.Get("X-Backstop-Attempt")) // 0 is found to be none later
	sum := hmac.New(sha256.New, []byte(h.secret))
	sum.Write(body)
	a := &arrival{
		id: header.Get("Heygen-Event-Id"), life: header.Get("X-Life"), attempt: attempt,
		signed: header.Get("Heygen-Signature") == hex.EncodeToString(sum.Sum(nil)),
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	a.at, a.nth = time.Now(), h.count[a.id]
	h.count[a.id]++
	h.log = append(h.log, a)
	h.tellLocked()
	return a
}

func (h *hostile) tellLocked() {
	close(h.comes)
	h.comes = make(chan struct{})
}

// work takes its time. What was begun is done, whether the sender waits or not.
func (h *hostile) work(req *http.Request, r reply) {
	if r.late {
		<-req.Context().Done()
		return
	}
	timer := time.NewTimer(max(r.work, h.least))
	defer timer.Stop()
	<-timer.C
}

// decide settles what became of the event, before anybody is told.
func (h *hostile) decide(a *arrival, r reply) {
	h.mu.Lock()
	defer h.mu.Unlock()
	a.status = r.status
	if a.status == 0 {
		a.status = http.StatusOK
	}
	if a.took() {
		h.taken[a.id] = true
	}
	a.left = time.Now()
	if most := a.at.Add(h.sure); a.left.After(most) {
		a.left = most
	}
	h.tellLocked()
}

// answer gives the answer, and notes whether the sender can have missed it.
func (h *hostile) answer(rw http.ResponseWriter, req *http.Request, a *arrival, r reply) {
	if r.retry != "" {
		rw.Header().Set("Retry-After", r.retry)
	}
	switch r.body {
	case nothing:
		rw.Header().Set("Content-Length", "0")
	case huge:
		rw.Header().Set("Content-Length", strconv.FormatInt(10<<30, 10))
	}
	rw.WriteHeader(a.status)
	err := http.NewResponseController(rw).Flush()
	h.mu.Lock()
	a.through = err == nil && !r.late && time.Since(a.at) <= h.sure
	h.tellLocked()
	h.mu.Unlock()
	if n := pour(rw, req, r.body); n > 0 {
		h.mu.Lock()
		a.read, a.closed = n, time.Now()
		h.mu.Unlock()
	}
}

// pour sends a body that does not end, until the sender has enough of it.
func pour(rw http.ResponseWriter, req *http.Request, body flood) (sent int64) {
	piece := make([]byte, 64<<10)
	switch body {
	case nothing:
		return 0
	case drip:
		piece = piece[:1]
	}
	flusher := http.NewResponseController(rw)
	for {
		n, err := rw.Write(piece)
		if err != nil || flusher.Flush() != nil {
			return sent
		}
		sent += int64(n)
		if body == drip && !pause(req.Context(), 100*time.Millisecond) {
			return sent
		}
	}
}

// reset breaks a connection off so that the other side sees it at once.
func reset(rw http.ResponseWriter) {
	conn, _, err := http.NewResponseController(rw).Hijack()
	if err != nil {
		return
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // a reset, not an end
	}
	_ = conn.Close() // the sender sees a broken connection either way
}

// all gives the POSTs so far in the order of their arrival.
func (h *hostile) all() []arrival {
	h.mu.Lock()
	defer h.mu.Unlock()
	log := make([]arrival, len(h.log))
	for i, a := range h.log {
		log[i] = *a
	}
	slices.SortStableFunc(log, func(a, b arrival) int { return a.at.Compare(b.at) })
	return log
}

// posts counts the POSTs so far.
func (h *hostile) posts() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.log)
}

// has counts the events that were taken.
func (h *hostile) has() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.taken)
}

// turn gives it another behaviour for the POSTs to come.
func (h *hostile) turn(behave func(arrival) reply) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.behave = behave
}

func (h *hostile) mood() func(arrival) reply {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.behave
}

// next is closed when a POST arrives or is decided on.
func (h *hostile) next() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.comes
}
