package reconcile

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"backstop/internal/heygen"
	"backstop/state"
)

// videoShelf is HeyGen's shelf of videos in memory.
type videoShelf struct {
	mu     sync.Mutex
	asked  []string      // ids
	takes  time.Duration // before it answers
	fault  error         // its answer to everything; nil: a completed video
	status string        // of its videos; "": completed
}

// Fresh implements Resources.
func (v *videoShelf) Fresh(ctx context.Context, r heygen.Resource) (heygen.Fresh, error) {
	v.mu.Lock()
	v.asked = append(v.asked, r.ID)
	takes, fault, status := v.takes, v.fault, v.status
	v.mu.Unlock()
	select {
	case <-time.After(takes):
	case <-ctx.Done():
		return heygen.Fresh{}, fmt.Errorf("get video: %w", ctx.Err())
	}
	if status == "" {
		status = "completed"
	}
	return heygen.Fresh{Status: status, Links: []heygen.Link{{Name: "video_url", URL: freshLink(r.ID)}}}, fault
}

func (v *videoShelf) set(takes time.Duration, fault error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.takes, v.fault = takes, fault
}

func (v *videoShelf) questions() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.asked)
}

func signedUntil(id string, until time.Time) string {
	return fmt.Sprintf("https://f.example/%s.mp4?Expires=%d&Signature=s", id, until.Unix())
}

func freshLink(id string) string {
	return signedUntil(id, time.Now().Truncate(time.Hour).Add(24*time.Hour))
}

// oldEvent has a link that has expired.
func oldEvent(n int) heygen.Event {
	e := event(n)
	id := fmt.Sprintf("vid_%03d", n)
	e.Data = fmt.Appendf(nil, `{ "video_id":%q, "url":%q }`, id, signedUntil(id, time.Now().Add(-time.Hour)))
	return e
}

func answered(status int, kind error) error { return &heygen.Error{Kind: kind, Status: status} }

func TestLookUpsAnswer(t *testing.T) {
	for _, tt := range []struct {
		name string
		v    *videoShelf
		want string // the note
	}{
		{"fresh", &videoShelf{}, "1 link renewed (url by path)"},
		{"failed", &videoShelf{status: "failed"}, "links expired, sent as they are: the video is failed"},
		{"a status that is none", &videoShelf{status: "https://x\x1b"}, "links expired, sent as they are: the video is not complete"},
		{"gone", &videoShelf{fault: answered(404, heygen.ErrRequest)}, "links expired, sent as they are: HeyGen has no such video any more (404)"},
		{"refused", &videoShelf{fault: answered(403, heygen.ErrCredentials)}, "links expired, sent as they are: HeyGen refused the look-up (403): the key may lack that right"},
		{"bad", &videoShelf{fault: answered(400, heygen.ErrRequest)}, "links expired, sent as they are: HeyGen refused the look-up (400)"},
		{"no key", &videoShelf{fault: answered(0, heygen.ErrCredentials)}, "links expired, sent as they are: the API key cannot be read"},
		{"down", &videoShelf{fault: answered(503, heygen.ErrUnreachable)}, "links expired, sent as they are: HeyGen could not be asked (503)"},
		{"no answer", &videoShelf{fault: answered(0, heygen.ErrUnreachable)}, "links expired, sent as they are: HeyGen could not be asked"},
		{"garbage", &videoShelf{fault: answered(200, heygen.ErrUnreadable)}, "links expired, sent as they are: HeyGen's answer to the look-up could not be read"},
		{"slow", &videoShelf{takes: time.Minute}, "links expired, sent as they are: the look-up took too long"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e, began := oldEvent(1), time.Now()
				data, note := NewLookUps(LookUpOptions{API: tt.v}).Renew(t.Context(), e)
				if note != tt.want {
					t.Errorf("note %q, want %q", note, tt.want)
				}
				if renewed := strings.Contains(note, "renewed"); renewed == (string(data) == string(e.Data)) {
					t.Errorf("data %s", data)
				}
				if took := time.Since(began); took > LookUpBudget {
					t.Errorf("took %v", took)
				}
			})
		})
	}
}

// Nobody is asked about an event whose links work, or that names nothing to ask
// for.
func TestLookUpsAskOnlyWhereItHelps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &videoShelf{}
		l := NewLookUps(LookUpOptions{API: v})
		for data, want := range map[string]string{
			`{"video_id":"v","url":"` + freshLink("v") + `"}`:                                              "",
			`{"video_id":"v","url":"https://f.example/v.mp4"}`:                                             "",
			`{"video_id":"..","url":"` + signedUntil("v", time.Now().Add(-time.Hour)) + `"}`:               "links expired, sent as they are: HeyGen cannot be asked about an event like this",
			`{"callback_id":"../endpoints","url":"` + signedUntil("v", time.Now().Add(time.Minute)) + `"}`: "links expired, sent as they are: HeyGen cannot be asked about an event like this",
		} {
			got, note := l.Renew(t.Context(), heygen.Event{Type: "avatar_video.success", Data: []byte(data)})
			if note != want || string(got) != data {
				t.Errorf("%s: %q, %s", data, note, got)
			}
		}
		if n := v.questions(); n != 0 {
			t.Errorf("%d questions", n)
		}
	})
}

// One answer serves for a minute, a negative one too, and what is kept is bounded.
func TestLookUpsRemember(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &videoShelf{}
		l := NewLookUps(LookUpOptions{API: v})
		ask := func(n, want int) {
			t.Helper()
			l.Renew(t.Context(), oldEvent(n))
			if got := v.questions(); got != want {
				t.Errorf("event %d: %d questions, want %d", n, got, want)
			}
		}
		ask(1, 1)
		ask(1, 1)
		v.set(0, answered(404, heygen.ErrRequest))
		ask(2, 2)
		ask(2, 2)
		time.Sleep(answerLasts)
		ask(1, 3)
		ask(2, 4)
		for n := range 3 * answersKept {
			ask(n+10, n+5)
		}
		if n := len(l.answers); n > answersKept {
			t.Errorf("%d answers are kept", n)
		}
	})
}

// Those who want the same at once make one request; where the one who made it
// goes away, another one does.
func TestLookUpsAskOnceForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &videoShelf{takes: time.Second}
		l := NewLookUps(LookUpOptions{API: v})
		first, leave := context.WithCancel(t.Context())
		notes := make([]string, 9)
		var group sync.WaitGroup
		for i := range notes {
			ctx := t.Context()
			if i == 0 {
				ctx = first
			}
			group.Go(func() { _, notes[i] = l.Renew(ctx, oldEvent(1)) })
			synctest.Wait()
		}
		time.Sleep(time.Second / 2)
		leave()
		group.Wait()
		if notes[0] != "links expired, sent as they are: the look-up was broken off" || v.questions() != 2 {
			t.Errorf("%q, %d questions", notes[0], v.questions())
		}
		for _, note := range notes[1:] {
			if note != "1 link renewed (url by path)" {
				t.Errorf("%q", note)
			}
		}
	})
}

// After three failures in a row nobody waits for a minute; then one tries. A
// video that is gone is no failure, and other kinds are asked on.
func TestLookUpsPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &videoShelf{}
		l := NewLookUps(LookUpOptions{API: v})
		n := 0
		renew := func() (note string, took time.Duration) {
			n++
			began := time.Now()
			_, note = l.Renew(t.Context(), oldEvent(n))
			return note, time.Since(began)
		}
		v.set(0, answered(404, heygen.ErrRequest))
		for range 5 {
			renew()
		}
		v.set(time.Hour, nil)
		for range pauseAfter {
			if note, took := renew(); !strings.Contains(note, "too long") || took != LookUpBudget {
				t.Errorf("%q after %v", note, took)
			}
		}
		asked, began := v.questions(), time.Now()
		for time.Since(began) < lookUpPause-time.Second {
			if note, took := renew(); !strings.Contains(note, "look-ups pause until") || took != 0 {
				t.Errorf("%q after %v", note, took)
			}
			time.Sleep(time.Second)
		}
		render := heygen.Event{Type: "hyperframes_video.success", Data: []byte(strings.Replace(string(oldEvent(1).Data), "video_id", "render_id", 1))}
		if _, note := l.Renew(t.Context(), render); !strings.Contains(note, "too long") {
			t.Errorf("another kind: %q", note)
		}
		if got := v.questions(); got != asked+1 {
			t.Errorf("%d questions in the pause", got-asked)
		}
		time.Sleep(time.Second)
		var group sync.WaitGroup
		for range 4 {
			n++
			group.Go(func() { l.Renew(t.Context(), oldEvent(n)) })
			synctest.Wait()
		}
		group.Wait()
		if got := v.questions(); got != asked+2 {
			t.Errorf("%d tried at once after the pause", got-asked-1)
		}
		v.set(0, nil)
		time.Sleep(lookUpPause)
		for range 3 {
			if note, _ := renew(); note != "1 link renewed (url by path)" {
				t.Errorf("after the end: %q", note)
			}
		}
	})
}

// A look-up whose turn would come too late is no failure of HeyGen, and the one
// who is told to end by its own deadline says nothing about HeyGen either.
func TestLookUpsThatWereNotMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &videoShelf{fault: fmt.Errorf("get video: %w", context.DeadlineExceeded)}
		l := NewLookUps(LookUpOptions{API: v})
		for n := range 2 * pauseAfter {
			if _, note := l.Renew(t.Context(), oldEvent(n%2)); note != "links expired, sent as they are: too many look-ups at once for their rate" {
				t.Errorf("%q", note)
			}
		}
		v.set(time.Hour, nil)
		for n := range 2 * pauseAfter {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if _, note := l.Renew(ctx, oldEvent(n%2)); note != "links expired, sent as they are: the look-up was broken off" {
				t.Errorf("%q", note)
			}
			cancel()
		}
		v.set(0, nil)
		if _, note := l.Renew(t.Context(), oldEvent(0)); note != "1 link renewed (url by path)" {
			t.Errorf("%q", note)
		}
	})
}

func withLinks(l Links) func(*ReplayOptions) { return func(o *ReplayOptions) { o.Links = l } }

// The receiver gets fresh links under a signature of what it got; the state
// keeps what was listed, and says what was done.
func TestReplayRenewsLinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, rec, v := openStore(t), &target{}, &videoShelf{}
		rec.answer = func(n int, _ string) (int, error) { return []int{500, 200}[min(n, 1)], nil }
		e := oldEvent(1)
		missed(t, s, e)
		r := replayerFor(s, rec, withLinks(NewLookUps(LookUpOptions{API: v})))
		drain(t, r)
		kept := row(t, s, e.ID)
		if len(kept.Attempts) != 1 || kept.Attempts[0].Note != "1 link renewed (url by path)" {
			t.Errorf("%+v", kept.Attempts)
		}
		if due, err := s.Due(state.ClaimRules{Now: time.Now().Add(time.Hour)}, 1); err != nil || string(due[0].Data) != string(e.Data) {
			t.Errorf("the state keeps %s, %v", due[0].Data, err)
		}
		time.Sleep(time.Minute)
		drain(t, r)
		posts := rec.all()
		if len(posts) != 2 {
			t.Fatalf("%d POSTs", len(posts))
		}
		for _, p := range posts {
			want := fmt.Sprintf(`{"event_type":"avatar_video.success","event_data":{ "video_id":"vid_001", "url":"%s" }}`, freshLink("vid_001"))
			if p.body != want || p.headers.Get("Heygen-Signature") != heygen.Sign(testSecret, []byte(p.body)) {
				t.Errorf("%s\nwant %s", p.body, want)
			}
		}
		if r := row(t, s, e.ID); r.Status != state.Seen || len(r.Attempts) != 2 || r.Attempts[1].Note == "" {
			t.Errorf("%+v", r)
		}
	})
}

// Look-ups that hang hold up replays by their budget, and no longer than until
// they pause.
func TestHangingLookUpsHoldNothingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, rec, v := openStore(t), &target{}, &videoShelf{takes: time.Hour}
		events := make([]heygen.Event, 40)
		for i := range events {
			events[i] = oldEvent(i)
		}
		missed(t, s, events...)
		began := time.Now()
		d := drain(t, replayerFor(s, rec, withLinks(NewLookUps(LookUpOptions{API: v}))))
		if d.Sent != 40 || d.Seen != 40 {
			t.Errorf("%+v", d)
		}
		if took, rate := time.Since(began), 8*time.Second; took > rate+2*LookUpBudget {
			t.Errorf("took %v", took)
		}
		for _, p := range rec.all() {
			i := slices.IndexFunc(events, func(e heygen.Event) bool { return e.ID == p.id })
			if want := string(heygen.Body(events[i].Type, events[i].Data)); p.body != want {
				t.Errorf("%s, want it as it was listed: %s", p.body, want)
			}
		}
		if v.questions() > pauseAfter+4 {
			t.Errorf("%d questions", v.questions())
		}
	})
}

// An event that turns out to be seen while its links are looked up is not sent.
func TestSeenWhileLinksAreLookedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, rec, v := openStore(t), &target{}, &videoShelf{takes: 2 * time.Second}
		missed(t, s, oldEvent(1), oldEvent(2))
		var group sync.WaitGroup
		group.Go(func() {
			time.Sleep(time.Second)
			if _, err := s.Record(time.Now(), []state.Sighting{{ID: oldEvent(1).ID, Proof: state.Report}}); err != nil {
				t.Error(err)
			}
		})
		d := drain(t, replayerFor(s, rec, withLinks(NewLookUps(LookUpOptions{API: v}))))
		group.Wait()
		if d.Sent != 1 || d.Seen != 2 || d.Waiting != 0 {
			t.Errorf("%+v", d)
		}
		if got := slices.Collect(maps.Keys(rec.accepted())); !slices.Equal(got, []string{oldEvent(2).ID}) {
			t.Errorf("sent %v", got)
		}
		if r := row(t, s, oldEvent(1).ID); r.Proof != state.Report || len(r.Attempts) != 0 {
			t.Errorf("%+v", r)
		}
	})
}

// The end of the process is not held up by a look-up, and the attempt was never
// made.
func TestStopWhileLinksAreLookedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, rec, v := openStore(t), &target{}, &videoShelf{takes: time.Hour}
		missed(t, s, oldEvent(1))
		stop := run(t, replayerFor(s, rec, withLinks(NewLookUps(LookUpOptions{API: v}))))
		time.Sleep(time.Second)
		began := time.Now()
		stop()
		if took := time.Since(began); took > time.Second {
			t.Errorf("stopped after %v", took)
		}
		if r := row(t, s, oldEvent(1).ID); r.Status != state.Missed || len(r.Attempts) != 0 || len(rec.all()) != 0 {
			t.Errorf("%+v, %d POSTs", r, len(rec.all()))
		}
	})
}

// A POST after a long look-up still stands on an answer younger than ten seconds.
func TestProofStaysFreshThroughLookUps(t *testing.T) {
	r := &Replayer{}
	if r.freshness() != freshFor {
		t.Errorf("%v without look-ups", r.freshness())
	}
	r.options.Links = NewLookUps(LookUpOptions{})
	if r.freshness()+LookUpBudget > freshFor {
		t.Errorf("%v, and a look-up of %v", r.freshness(), LookUpBudget)
	}
}

func TestRenewalNote(t *testing.T) {
	for want, r := range map[string]heygen.Renewal{
		"1 link renewed (url by path)":                   {ByPath: []string{"url"}},
		"2 links renewed (url by path, gif_url by name)": {ByPath: []string{"url"}, ByName: []string{"gif_url"}},
		"1 link renewed (clips[0].video_url by name); no fresh link for clips[1].video_url, sent as it was": {
			ByName: []string{"clips[0].video_url"}, Kept: []string{"clips[1].video_url"},
		},
		"links expired, sent as they are: there is no fresh link for a and b and c and d and e and 2 more": {Kept: []string{"a", "b", "c", "d", "e", "f", "g"}},
		"links expired, sent as they are: there is no fresh link for another field":                        {Kept: []string{"<script>"}},
	} {
		if got := renewalNote(r); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestLookUpsHideWhatTheyAreTold(t *testing.T) {
	secret := "Signature=topsecret"
	l := NewLookUps(LookUpOptions{API: &videoShelf{fault: errors.New("GET https://x/?" + secret)}})
	if _, note := l.Renew(t.Context(), oldEvent(1)); strings.Contains(note, secret) || note == "" {
		t.Errorf("%q", note)
	}
}
