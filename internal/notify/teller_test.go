package notify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"backstop/state"
)

// kept is a real state whose writing of notices is counted and can fail.
type kept struct {
	*state.Store
	writes int
	fail   error
}

func (k *kept) ChangeNotices(change func(*state.Notices)) error {
	if k.fail != nil {
		return k.fail
	}
	k.writes++
	return k.Store.ChangeNotices(change)
}

// town is a world in memory: how things stand, and who is told.
type town struct {
	t     *testing.T
	store *kept
	log   bytes.Buffer

	mu     sync.Mutex
	report Report        // guarded by mu
	status int           // guarded by mu; of whoever is told
	hang   chan struct{} // guarded by mu; not nil: nobody answers until it is closed
	asked  int           // guarded by mu
	heard  []Notice      // guarded by mu; answered with 200
}

func newTown(t *testing.T) *town {
	t.Helper()
	s, err := state.Open(state.Options{Path: filepath.Join(t.TempDir(), "backstop.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return &town{t: t, store: &kept{Store: s}, status: http.StatusOK}
}

func (w *town) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	status, hang := w.status, w.hang
	w.asked++
	w.mu.Unlock()
	if hang != nil {
		select {
		case <-hang:
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
	if status == http.StatusOK {
		var n Notice
		if err := json.Unmarshal(body, &n); err != nil {
			return nil, err
		}
		w.mu.Lock()
		w.heard = append(w.heard, n)
		w.mu.Unlock()
	}
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("token in the answer")), Request: r}, nil
}

func (w *town) set(change func(*town)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change(w)
}

// words are what was heard so far, as condition and state.
func (w *town) words() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var words []string
	for _, n := range w.heard {
		words = append(words, n.Condition+" "+n.State)
	}
	return words
}

func (w *town) teller() *Teller {
	teller := New(Options{
		URL: func() (string, error) { return "https://hooks.test/services/s3cret?token=s3cret", nil }, Cooldown: time.Hour, Version: "1", Store: w.store,
		Secrets: func() []string { return []string{"https://hooks.test/services/s3cret?token=s3cret"} },
		Logger:  slog.New(slog.NewTextHandler(&w.log, nil)), Transport: w,
		Report: func() Report {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.report.Now = time.Now().UTC()
			return w.report
		},
	})
	teller.Begin()
	return teller
}

// live runs a teller until the function that it returns is called, which tells how
// long the end took.
func (w *town) live(teller *Teller) (stop func() time.Duration) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- teller.Run(ctx) }()
	return func() time.Duration {
		began := time.Now()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			w.t.Errorf("Run ended with %v", err)
		}
		return time.Since(began)
	}
}

func (w *town) want(words ...string) {
	w.t.Helper()
	synctest.Wait()
	if got := w.words(); !slices.Equal(got, words) {
		w.t.Fatalf("heard %q, want %q", got, words)
	}
}

func pausedReport(r *Report) { r.Stands, r.StandsCause = "paused by ann: deploy", ByPerson }

func TestCoolDownThroughRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t)
		teller := w.teller()
		stop := w.live(teller)
		w.set(func(w *town) { pausedReport(&w.report) })
		teller.Wake(false)
		w.want("paused alarm")
		w.set(func(w *town) { w.report.Stands = "" })
		teller.Wake(false)
		w.want("paused alarm", "paused recovered")

		// Within the cool-down it comes and goes, and the process is another one.
		for range 3 {
			w.set(func(w *town) { pausedReport(&w.report) })
			teller.Wake(false)
			synctest.Wait()
			w.set(func(w *town) { w.report.Stands = "" })
			teller.Wake(false)
			synctest.Wait()
		}
		stop()
		teller = w.teller()
		stop = w.live(teller)
		time.Sleep(58 * time.Minute)
		w.want("paused alarm", "paused recovered")
		time.Sleep(3 * time.Minute) // nobody wakes it
		w.want("paused alarm", "paused recovered", "paused recovered")
		if n := w.heard[2]; n.Times != 3 || !strings.Contains(n.Text, "It came and went 3 times") {
			t.Errorf("the summary is %+v", n)
		}
		writes := w.store.writes
		time.Sleep(24 * time.Hour)
		w.want("paused alarm", "paused recovered", "paused recovered")
		if w.store.writes != writes {
			t.Errorf("a day without news took %d writes", w.store.writes-writes)
		}
		stop()
	})
}

func TestAWayThatFailsLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t)
		teller := w.teller()
		stop := w.live(teller)
		w.set(func(w *town) { w.status = 503; pausedReport(&w.report) })
		teller.Wake(false)
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if w.asked != 1+postRetries {
			t.Errorf("asked %d times, want %d", w.asked, 1+postRetries)
		}
		if h := teller.Health(); h.Failing != "url: it answered 503" || h.FailingSince.IsZero() || h.Open != nil {
			t.Errorf("its health is %+v", h)
		}
		for range 100 { // however often it is woken
			teller.Wake(true)
			synctest.Wait()
		}
		if w.asked != 1+postRetries {
			t.Errorf("woken a hundred times it asked %d times, want %d", w.asked, 1+postRetries)
		}
		// It is over before anybody could be told: both are told in one.
		w.set(func(w *town) { w.report.Stands = "" })
		teller.Wake(false)
		time.Sleep(2 * time.Hour)
		w.set(func(w *town) { w.status = 200 })
		time.Sleep(2 * time.Minute)
		w.want("paused recovered")
		if got := strings.Count(w.log.String(), "level=WARN"); got != 1 {
			t.Errorf("%d warnings, want one:\n%s", got, w.log.String())
		}
		if !strings.Contains(w.log.String(), "notices are delivered again") {
			t.Error("that it works again is not logged")
		}
		for _, secret := range []string{"s3cret", "token in the answer", "deploy"} {
			if strings.Contains(w.log.String(), secret) {
				t.Errorf("the log has %q:\n%s", secret, w.log.String())
			}
		}
		stop()
	})
}

func TestNobodyWaitsForAWayThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t)
		teller := w.teller()
		stop := w.live(teller)
		hang := make(chan struct{})
		w.set(func(w *town) { w.hang = hang; pausedReport(&w.report) })
		began := time.Now()
		for range 1000 {
			teller.Wake(true)
		}
		synctest.Wait()
		if took := time.Since(began); took != 0 {
			t.Errorf("waking took %s", took)
		}
		if took := stop(); took > time.Second {
			t.Errorf("the end took %s", took)
		}
		w.want()
		// What was under way is told after the next start.
		w.set(func(w *town) { w.hang = nil })
		teller = w.teller()
		stop = w.live(teller)
		teller.Wake(true)
		w.want("paused alarm")
		stop()
	})
}

// A crash between a notice and its being written down tells people twice; one
// before tells them once.
func TestToldButNotWrittenDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t)
		teller := w.teller()
		w.set(func(w *town) { pausedReport(&w.report) })
		w.store.fail = errors.New("no")
		teller.Tell(t.Context(), true)
		w.want()
		w.store.fail = nil
		first := true
		teller.options.Store = failAfter{w.store, &first}
		teller.Tell(t.Context(), true)
		w.want("paused alarm")
		teller = w.teller()
		teller.Tell(t.Context(), true)
		w.want("paused alarm", "paused alarm")
		teller.Tell(t.Context(), true)
		w.want("paused alarm", "paused alarm")
	})
}

// failAfter writes once, and then no more.
type failAfter struct {
	*kept
	first *bool
}

func (f failAfter) ChangeNotices(change func(*state.Notices)) error {
	if !*f.first {
		return errors.New("no")
	}
	*f.first = false
	return f.kept.ChangeNotices(change)
}

func TestWithoutAWayNothingIsKept(t *testing.T) {
	w := newTown(t)
	w.teller()
	if w.store.Notices() == nil {
		t.Fatal("with a way nothing is counted")
	}
	New(Options{Store: w.store, Logger: slog.New(slog.DiscardHandler), Report: func() Report { return Report{} }}).Begin()
	if w.store.Notices() != nil {
		t.Error("without one it goes on counting")
	}
	var none *Teller // of an engine without a state
	none.Begin()
	none.Wake(true)
	none.Tell(t.Context(), true)
	if none.Health() != nil || none.Test(t.Context(), "") != nil {
		t.Error("a teller that is none does something")
	}
}

func TestATestNotice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t)
		teller := w.teller()
		if got := teller.Test(t.Context(), "http://r/"); !slices.Equal(got, []Sent{{Channel: "url"}}) {
			t.Fatalf("got %v", got)
		}
		w.want("test test")
		w.set(func(w *town) { w.status = 404 })
		if got := teller.Test(t.Context(), ""); !slices.Equal(got, []Sent{{"url", "it answered 404"}}) {
			t.Errorf("got %v", got)
		}
	})
}

// A URL that hangs keeps no other channel waiting, and a notice that the other one
// took counts as told also when the process ends meanwhile.
func TestChannelsAreSideBySide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t)
		teller := w.teller()
		took := make(chan Notice, 1)
		teller.channels = append(teller.channels, channel{"command", func(_ context.Context, n Notice) error { took <- n; return nil }})
		w.set(func(w *town) { w.hang = make(chan struct{}); pausedReport(&w.report) })
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second) // less than the URL has
		defer cancel()
		began := time.Now()
		go teller.Tell(ctx, true)
		if n := <-took; n.Condition != Paused || time.Since(began) != 0 {
			t.Errorf("%s was told after %s", n.Condition, time.Since(began))
		}
		<-ctx.Done()
		synctest.Wait()
		if h := teller.Health(); !slices.Equal(h.Open, []string{Paused}) || h.Failing != "" {
			t.Errorf("its health is %+v", h)
		}
	})
}
